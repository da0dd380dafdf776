-- Settlement on the bank rail: what merchants are owed is cut into a batch, a second person approves
-- it, the bank pays it, and the bank's word ends it.

-- Who cuts a programme's captures into payouts holds this lock alone, who reverses one shared. One lock
-- and not one for each merchant: the server has room for some thousands, and a city has more merchants.
CREATE OR REPLACE FUNCTION ledger.settlement_lock(p_city smallint, p_programme uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT hashtextextended(format('ledger.settlement:%s:%s', p_city, p_programme), 0)
$$;

-- The records of a programme's bank rail that are due by p_cut_off and in no payout yet. A reversal
-- goes with its original: both belong to the original's day.
-- Dates before infinity are all of them: saying so lets the planner take the indexes by programme.
CREATE OR REPLACE FUNCTION ledger.due_records(
    p_city smallint, p_programme uuid, p_cut_off date,
    OUT settlement_id uuid, OUT merchant_id uuid, OUT due_fen bigint
) RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
AS $$
    WITH free AS MATERIALIZED (
        SELECT s.settlement_id, s.record_type, s.original_settlement_id, s.merchant_id, s.net_fen,
            s.accounting_date, j.kind
        FROM ledger.settlement_records AS s
        JOIN ledger.journals AS j
            ON j.city_id = p_city AND j.programme_id = p_programme AND j.posted_at <= 'infinity'
            AND j.journal_id = s.ledger_txn_id
        WHERE s.city_id = p_city AND s.programme_id = p_programme AND s.accounting_date <= 'infinity'
            AND s.record_type IN ('REDEEM', 'REVERSAL') AND s.rail = 'BANK' AND NOT EXISTS (
                SELECT 1 FROM ledger.payout_items AS i
                WHERE i.city_id = p_city AND i.settlement_id = s.settlement_id AND NOT i.void
            )
    )
    SELECT f.settlement_id, f.merchant_id,
        CASE f.record_type WHEN 'REDEEM' THEN f.net_fen ELSE -f.net_fen END
    FROM free AS f
    LEFT JOIN free AS original ON original.settlement_id = f.original_settlement_id
    WHERE CASE f.record_type
        WHEN 'REDEEM' THEN f.accounting_date <= p_cut_off
        -- A claw-back after settlement (J23) is not a part of what is payable: it is netted.
        ELSE f.kind IN ('J21', 'J22') AND original.accounting_date <= p_cut_off
    END
$$;

-- Cut a batch: one payout for each merchant, J13 for what it owes back, J14 for what it gets.
-- outcome: 'cut', 'nothing_due', 'not_found' (there is no such programme), 'day_not_over' (records may
-- still be added to the day of p_cut_off).
CREATE OR REPLACE FUNCTION ledger.cut_batch(
    p_city smallint, p_programme uuid, p_cut_off date, p_batch uuid, p_actor text
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz;
    v_payouts uuid[];
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM campaign.programmes WHERE city_id = p_city AND programme_id = p_programme
    ) THEN
        RETURN 'not_found';
    ELSIF p_cut_off >= ledger.accounting_date(campaign.now()) THEN
        RETURN 'day_not_over';
    END IF;
    PERFORM pg_advisory_xact_lock(ledger.settlement_lock(p_city, p_programme));
    v_now := campaign.now();
    INSERT INTO ledger.settlement_batches (
        city_id, batch_id, programme_id, cut_off, state, payouts, amount_fen, created_at, created_by
    ) VALUES (p_city, p_batch, p_programme, p_cut_off, 'cut', 1, 0, v_now, p_actor);
    PERFORM ledger.lock_balances(p_city, p_programme, (
        SELECT array_agg('merchant_recv:' || e.merchant_id) FROM campaign.enrolments AS e
        WHERE e.city_id = p_city AND e.programme_id = p_programme
    ));
    WITH due AS MATERIALIZED (
        SELECT * FROM ledger.due_records(p_city, p_programme, p_cut_off)
    ),
    paid AS MATERIALIZED (
        SELECT ledger.new_id(p_city) AS payout_id, d.merchant_id, sum(d.due_fen)::bigint AS due_fen,
            least(sum(d.due_fen)::bigint, ledger.guarded_balance(
                p_city, p_programme, 'merchant_recv:' || d.merchant_id
            )) AS netted_fen
        FROM due AS d
        GROUP BY d.merchant_id
        HAVING sum(d.due_fen) > 0
    ),
    written AS (
        INSERT INTO ledger.payouts (
            city_id, payout_id, batch_id, programme_id, merchant_id, amount_fen, netted_fen, state,
            next_at
        )
        SELECT p_city, payout_id, p_batch, p_programme, merchant_id, due_fen - netted_fen,
            netted_fen, 'cut', v_now
        FROM paid
        RETURNING payout_id
    ),
    itemised AS (
        INSERT INTO ledger.payout_items (city_id, payout_id, settlement_id)
        SELECT p_city, paid.payout_id, d.settlement_id FROM due AS d JOIN paid USING (merchant_id)
    )
    SELECT array_agg(payout_id) INTO v_payouts FROM written;
    IF v_payouts IS NULL THEN
        DELETE FROM ledger.settlement_batches WHERE city_id = p_city AND batch_id = p_batch;
        RETURN 'nothing_due';
    END IF;
    UPDATE ledger.settlement_batches SET payouts = cardinality(v_payouts), amount_fen = (
        SELECT sum(p.amount_fen) FROM ledger.payouts AS p
        WHERE p.city_id = p_city AND p.batch_id = p_batch
    )
    WHERE city_id = p_city AND batch_id = p_batch;
    PERFORM ledger.post_payouts(p_city, v_payouts, 'J13', p_actor, v_now);
    PERFORM ledger.post_payouts(p_city, v_payouts, 'J14', p_actor, v_now);
    RETURN 'cut';
END
$$;

-- Post one journal of p_kind for each of these payouts for which it moves anything.
--   J13 netted   payable -> merchant_recv    J14 cut        payable -> transit
--   J15 paid     transit -> bank             J16 not paid   transit, merchant_recv -> payable
CREATE OR REPLACE FUNCTION ledger.post_payouts(
    p_city smallint, p_payouts uuid[], p_kind text, p_actor text, p_at timestamptz
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_journals uuid[];
    v_programmes uuid[];
    v_events text[];
    v_lines integer[];
    v_debits text[];
    v_credits text[];
    v_amounts bigint[];
BEGIN
    WITH line AS MATERIALIZED (
        SELECT p.payout_id, p.programme_id, moved.debit, moved.credit, moved.amount_fen,
            dense_rank() OVER (ORDER BY p.payout_id)::integer AS place
        FROM ledger.payouts AS p
        CROSS JOIN LATERAL (
            SELECT 'payable:' || p.merchant_id AS payable, 'transit:' || p.batch_id AS transit,
                'merchant_recv:' || p.merchant_id AS recv
        ) AS a
        CROSS JOIN LATERAL (
            VALUES
                ('J13', a.payable, a.recv, p.netted_fen),
                ('J14', a.payable, a.transit, p.amount_fen),
                ('J15', a.transit, 'bank:main', p.amount_fen),
                ('J16', a.transit, a.payable, p.amount_fen),
                ('J16', a.recv, a.payable, p.netted_fen)
        ) AS moved (kind, debit, credit, amount_fen)
        WHERE p.city_id = p_city AND p.payout_id = ANY (p_payouts) AND moved.kind = p_kind
            AND moved.amount_fen > 0
    ),
    journal AS (
        SELECT DISTINCT place, payout_id, programme_id FROM line
    ),
    journals AS (
        SELECT array_agg(ledger.new_id(p_city) ORDER BY place) AS ids,
            array_agg(programme_id ORDER BY place) AS programmes,
            array_agg(payout_id::text ORDER BY place) AS events
        FROM journal
    ),
    lines AS (
        SELECT array_agg(place ORDER BY place, debit) AS places,
            array_agg(debit ORDER BY place, debit) AS debits,
            array_agg(credit ORDER BY place, debit) AS credits,
            array_agg(amount_fen ORDER BY place, debit) AS amounts
        FROM line
    )
    SELECT j.ids, j.programmes, j.events, l.places, l.debits, l.credits, l.amounts
    INTO v_journals, v_programmes, v_events, v_lines, v_debits, v_credits, v_amounts
    FROM journals AS j CROSS JOIN lines AS l;
    IF v_journals IS NOT NULL THEN
        PERFORM ledger.post_many(
            p_city, p_at, v_journals, v_programmes,
            array_fill(p_kind, ARRAY[cardinality(v_journals)]), v_events,
            array_fill(NULL::uuid, ARRAY[cardinality(v_journals)]),
            array_fill(p_actor, ARRAY[cardinality(v_journals)]),
            v_lines, v_debits, v_credits, v_amounts
        );
    END IF;
END
$$;

-- What an account of cash holds beyond the payments under way: the payouts of which the bank has been
-- told, the e-CNY payments of which the operator has.
CREATE OR REPLACE FUNCTION ledger.spendable(
    p_city smallint, p_programme uuid, p_account text
) RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ledger.guarded_balance(p_city, p_programme, p_account) - CASE p_account
        WHEN 'bank:main' THEN (
            SELECT coalesce(sum(p.amount_fen), 0)::bigint FROM ledger.payouts AS p
            WHERE p.city_id = p_city AND p.programme_id = p_programme AND p.state = 'open'
        )
        WHEN 'wallet:main' THEN (
            SELECT coalesce(sum(i.amount_fen), 0)::bigint FROM redeem.instructions AS i
            WHERE i.city_id = p_city AND i.wallet = p_programme::text AND i.state = 'open'
                AND i.kind = 'pay'
        )
        ELSE 0
    END
$$;

-- Approve a batch, or reject it (J16: its records can be cut again).
-- outcome: 'approved', 'rejected', 'unchanged', 'not_found', 'same_person', 'decided' (otherwise
-- already), 'insufficient_funds' (the bank account does not cover it and what is in transit).
CREATE OR REPLACE FUNCTION ledger.decide_batch(
    p_city smallint, p_batch uuid, p_decision text, p_actor text
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    b ledger.settlement_batches;
    v_now timestamptz;
    v_payouts uuid[];
BEGIN
    SELECT * INTO b FROM ledger.settlement_batches
    WHERE city_id = p_city AND batch_id = p_batch
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'not_found';
    ELSIF b.state = p_decision THEN
        RETURN 'unchanged';
    ELSIF b.state <> 'cut' THEN
        RETURN 'decided';
    ELSIF b.created_by = p_actor THEN
        RETURN 'same_person';
    END IF;
    v_now := campaign.now();
    IF p_decision = 'approved' THEN
        -- Under the account's lock: two batches approved at once must not spend the same money.
        PERFORM ledger.lock_balances(p_city, b.programme_id, ARRAY['bank:main']);
        IF ledger.spendable(p_city, b.programme_id, 'bank:main') < b.amount_fen THEN
            RETURN 'insufficient_funds';
        END IF;
        UPDATE ledger.payouts SET
            state = CASE WHEN amount_fen = 0 THEN 'confirmed' ELSE 'open' END,
            ended_at = CASE WHEN amount_fen = 0 THEN v_now END,
            ended_by = CASE WHEN amount_fen = 0 THEN p_actor END,
            next_at = v_now
        WHERE city_id = p_city AND batch_id = p_batch;
    ELSIF p_decision = 'rejected' THEN
        SELECT array_agg(p.payout_id) INTO v_payouts FROM ledger.payouts AS p
        WHERE p.city_id = p_city AND p.batch_id = p_batch;
        PERFORM ledger.end_payouts(
            p_city, v_payouts, 'rejected', NULL, 'the batch was rejected', p_actor, v_now
        );
    ELSE
        RAISE EXCEPTION 'a batch is approved or rejected, not %', p_decision;
    END IF;
    UPDATE ledger.settlement_batches
    SET state = p_decision, decided_at = v_now, decided_by = p_actor
    WHERE city_id = p_city AND batch_id = p_batch;
    RETURN p_decision;
END
$$;

-- End payouts: J15 when the bank has paid, J16 when it has not (what was netted is owed again).
CREATE OR REPLACE FUNCTION ledger.end_payouts(
    p_city smallint, p_payouts uuid[], p_answer text, p_bank_txn_no text, p_reason text,
    p_actor text, p_at timestamptz
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE ledger.payouts SET
        state = p_answer, bank_txn_no = p_bank_txn_no, reason = p_reason, ended_at = p_at,
        ended_by = p_actor
    WHERE city_id = p_city AND payout_id = ANY (p_payouts);
    PERFORM ledger.post_payouts(
        p_city, p_payouts, CASE p_answer WHEN 'confirmed' THEN 'J15' ELSE 'J16' END, p_actor, p_at
    );
    IF p_answer = 'rejected' THEN
        UPDATE ledger.payout_items SET void = true
        WHERE city_id = p_city AND payout_id = ANY (p_payouts);
    END IF;
END
$$;

-- Book the bank's word on an instructed payout, once: p_answer is 'confirmed' or 'rejected'.
-- outcome: 'confirmed', 'rejected', 'unchanged' (it was said before), 'decided' (the other was said
-- before), 'not_found', 'not_instructed'.
CREATE OR REPLACE FUNCTION ledger.finish_payout(
    p_city smallint, p_payout uuid, p_answer text, p_bank_txn_no text, p_reason text, p_actor text
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p ledger.payouts;
BEGIN
    IF p_answer NOT IN ('confirmed', 'rejected') THEN
        RAISE EXCEPTION 'a payout is confirmed or rejected, not %', p_answer;
    END IF;
    SELECT * INTO p FROM ledger.payouts
    WHERE city_id = p_city AND payout_id = p_payout
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'not_found';
    ELSIF p.state = p_answer THEN
        RETURN 'unchanged';
    ELSIF p.state = 'cut' THEN
        RETURN 'not_instructed';
    ELSIF p.state <> 'open' THEN
        RETURN 'decided';
    END IF;
    PERFORM ledger.end_payouts(
        p_city, ARRAY[p_payout], p_answer, p_bank_txn_no, p_reason, p_actor, campaign.now()
    );
    RETURN p_answer;
END
$$;

-- Take up to p_limit payouts of which the bank must be told or asked, and put off when the next may.
CREATE OR REPLACE FUNCTION ledger.take_payouts(p_limit integer) RETURNS SETOF ledger.payouts
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    -- Materialised: a plan that looked for the due ones again for each row would take more of them.
    WITH taken AS MATERIALIZED (
        SELECT o.city_id, o.payout_id FROM ledger.payouts AS o
        WHERE o.state = 'open' AND o.next_at <= (SELECT campaign.now())
        ORDER BY o.next_at
        LIMIT p_limit
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE ledger.payouts AS p
    SET next_at = campaign.now() + interval '2 seconds'
    FROM taken
    WHERE p.city_id = taken.city_id AND p.payout_id = taken.payout_id
    RETURNING p.*
$$;
