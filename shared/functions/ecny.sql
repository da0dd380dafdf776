-- The e-CNY rail: what the operator is told, and what follows from its answer. An outcome that is not
-- known is asked for again, never assumed.

-- Tell the operator to pay a redemption's cash, or to refund it.
CREATE OR REPLACE FUNCTION redeem.instruct(
    p_redemption redeem.redemptions, p_kind text, p_original uuid, p_at timestamptz
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
BEGIN
    INSERT INTO redeem.instructions (
        city_id, instruction_id, redemption_id, kind, original_id, amount_fen, wallet,
        payee_wallet, state, attempts, next_at, created_at
    )
    SELECT p_redemption.city_id, ledger.new_id(p_redemption.city_id), p_redemption.redemption_id,
        p_kind, p_original, p_redemption.amount_fen - p_redemption.absorbed_fen,
        p_redemption.programme_id::text, coalesce(m.wallet_id, m.merchant_id::text), 'open', 0,
        p_at, p_at
    FROM campaign.merchants AS m
    WHERE m.city_id = p_redemption.city_id AND m.merchant_id = p_redemption.merchant_id;
END
$$;

CREATE OR REPLACE FUNCTION redeem.instruct_refund(
    p_redemption redeem.redemptions, p_at timestamptz
) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    SELECT redeem.instruct(p_redemption, 'refund', i.instruction_id, p_at)
    FROM redeem.instructions AS i
    WHERE i.city_id = p_redemption.city_id AND i.redemption_id = p_redemption.redemption_id
        AND i.kind = 'pay' AND i.state = 'confirmed'
$$;

-- Take up to p_limit open instructions that are due, of one redemption or of all (p_redemption NULL),
-- and put the next time they are due off, so that two processes do not ask the same at once.
-- Asking again waits twice as long each time, from one second to five minutes.
CREATE OR REPLACE FUNCTION redeem.take_instructions(
    p_limit integer, p_city smallint, p_redemption uuid
) RETURNS SETOF redeem.instructions
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
    -- Materialised: a plan that looked for the due ones again for each row would take more of them. The
    -- time is asked once, so that the index ends where it does; one redemption has an index of its own.
    WITH of_all AS MATERIALIZED (
        SELECT due.city_id, due.instruction_id
        FROM campaign.cities AS c
        CROSS JOIN LATERAL (
            SELECT o.city_id, o.instruction_id, o.next_at FROM redeem.instructions AS o
            WHERE o.city_id = c.city_id AND o.state = 'open'
                AND o.next_at <= (SELECT campaign.now())
            ORDER BY o.next_at
            LIMIT p_limit
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS due
        WHERE p_redemption IS NULL AND (p_city IS NULL OR c.city_id = p_city)
        ORDER BY due.next_at
        LIMIT p_limit
    ),
    of_one AS MATERIALIZED (
        SELECT o.city_id, o.instruction_id FROM redeem.instructions AS o
        WHERE o.city_id = p_city AND o.redemption_id = p_redemption AND o.state = 'open'
            AND (o.next_at <= (SELECT campaign.now())) IS TRUE  -- not what it is found by
        FOR NO KEY UPDATE SKIP LOCKED
    ),
    taken AS MATERIALIZED (
        SELECT * FROM of_all UNION ALL SELECT * FROM of_one
    )
    UPDATE redeem.instructions AS i
    SET attempts = i.attempts + 1,
        next_at = campaign.now() + least(interval '1 second' * (2 ^ least(i.attempts, 9)),
            interval '5 minutes')
    FROM taken
    WHERE i.city_id = taken.city_id AND i.instruction_id = taken.instruction_id
    RETURNING i.*
$$;

-- Book what the operator has said of an instruction, once: p_answer is 'confirmed' or 'rejected'.
-- Returns the redemption's state; of an instruction that is finished already, nothing changes.
CREATE OR REPLACE FUNCTION redeem.finish_instruction(
    p_city smallint,
    p_instruction uuid,
    p_answer text,
    p_operator_txn_no text,
    p_operator_time timestamptz,
    p_reason text
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    i redeem.instructions;
    r redeem.redemptions;
    v_now timestamptz;
BEGIN
    IF p_answer NOT IN ('confirmed', 'rejected') THEN
        RAISE EXCEPTION 'an instruction is confirmed or rejected, not %', p_answer;
    END IF;
    SELECT * INTO i FROM redeem.instructions
    WHERE city_id = p_city AND instruction_id = p_instruction;
    r := redeem.lock_redemption(p_city, i.redemption_id);
    SELECT * INTO i FROM redeem.instructions
    WHERE city_id = p_city AND instruction_id = p_instruction
    FOR NO KEY UPDATE;
    IF i.state IS DISTINCT FROM 'open' THEN
        RETURN r.state;
    END IF;
    v_now := campaign.now();
    UPDATE redeem.instructions SET
        state = p_answer, operator_txn_no = p_operator_txn_no, operator_time = p_operator_time,
        reason = p_reason, finished_at = v_now
    WHERE city_id = p_city AND instruction_id = p_instruction;

    IF i.kind = 'pay' AND p_answer = 'confirmed' THEN
        PERFORM redeem.capture_held(r, 'J17', 'ecny-operator', v_now);
        IF r.reversal_wanted_at IS NOT NULL THEN
            SELECT * INTO r FROM redeem.redemptions
            WHERE city_id = p_city AND redemption_id = i.redemption_id;
            UPDATE redeem.redemptions SET state = 'pending'
            WHERE city_id = p_city AND redemption_id = i.redemption_id;
            PERFORM redeem.instruct_refund(r, v_now);
        END IF;
    ELSIF i.kind = 'pay' THEN
        PERFORM redeem.end_redemption(
            r, CASE WHEN r.reversal_wanted_at IS NULL THEN 'failed' ELSE 'reversed' END,
            'J9', 'ecny-operator', v_now
        );
    ELSIF p_answer = 'confirmed' THEN
        PERFORM redeem.end_redemption(r, 'reversed', 'J23e', 'ecny-operator', v_now);
    ELSE
        -- The money is still the merchant's: ask again, under a new number, a minute later.
        PERFORM redeem.instruct_refund(r, v_now + interval '1 minute');
    END IF;
    SELECT state INTO r.state FROM redeem.redemptions
    WHERE city_id = p_city AND redemption_id = i.redemption_id;
    RETURN r.state;
END
$$;
