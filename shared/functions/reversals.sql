-- Reverse what a till asked under p_original_no, whose outcome it does not know. Final either way: the
-- original, if it arrives later, finds that it was reversed.
-- outcome: 'reversed', 'never_happened', 'pending' (the e-CNY operator is not certain yet),
-- 'idempotency_key_reused', or 'not_reversible' (the original is a release or a reversal, this one
-- itself perhaps).
CREATE OR REPLACE FUNCTION redeem.reverse(
    p_city smallint,
    p_terminal uuid,
    p_request_no text,
    p_hash bytea,
    p_original_no text,
    OUT outcome text,
    OUT is_replayed boolean,
    OUT redemption_id uuid
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    q redeem.requests;
    o redeem.requests;
    v_now timestamptz;
BEGIN
    PERFORM redeem.lock_requests(
        ARRAY[p_terminal, p_terminal], ARRAY[p_request_no, p_original_no]
    );
    SELECT * INTO q FROM redeem.requests
    WHERE city_id = p_city AND terminal_id = p_terminal AND request_no = p_request_no;
    is_replayed := FOUND;
    IF is_replayed AND (q.operation <> 'reverse' OR q.body_hash <> p_hash) THEN
        outcome := 'idempotency_key_reused';
        RETURN;
    ELSIF is_replayed AND q.outcome <> 'pending' THEN
        outcome := q.outcome;
        redemption_id := q.redemption_id;
        RETURN;
    ELSIF p_request_no = p_original_no THEN
        outcome := 'not_reversible';
        RETURN;
    END IF;

    v_now := campaign.now();
    SELECT * INTO o FROM redeem.requests
    WHERE city_id = p_city AND terminal_id = p_terminal AND request_no = p_original_no;
    IF NOT FOUND THEN
        INSERT INTO redeem.requests (
            city_id, terminal_id, request_no, operation, outcome, details, decided_at, reversed_at
        ) VALUES (
            p_city, p_terminal, p_original_no, 'tombstone', 'reversed', '{}', v_now, v_now
        );
        outcome := 'never_happened';
    ELSIF o.operation IN ('release', 'reverse') THEN
        outcome := 'not_reversible';
        RETURN;
    ELSE
        redemption_id := o.redemption_id;
        outcome := redeem.undo(o, v_now);
        UPDATE redeem.requests SET reversed_at = coalesce(reversed_at, v_now)
        WHERE city_id = p_city AND terminal_id = p_terminal AND request_no = p_original_no;
    END IF;

    IF is_replayed THEN
        UPDATE redeem.requests SET outcome = reverse.outcome
        WHERE city_id = p_city AND terminal_id = p_terminal AND request_no = p_request_no;
    ELSE
        INSERT INTO redeem.requests (
            city_id, terminal_id, request_no, operation, body_hash, outcome, details,
            redemption_id, decided_at
        ) VALUES (
            p_city, p_terminal, p_request_no, 'reverse', p_hash, outcome,
            jsonb_build_object('original', p_original_no), redemption_id, v_now
        );
    END IF;
END
$$;

-- Undo what a request did, and say what became of it.
CREATE OR REPLACE FUNCTION redeem.undo(p_request redeem.requests, p_at timestamptz) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    r redeem.redemptions;
    v_actor text := 'terminal:' || p_request.terminal_id;
BEGIN
    -- A refusal did nothing, and a tombstone stands for a request that never came.
    IF p_request.outcome NOT IN ('captured', 'held', 'pending') THEN
        RETURN 'never_happened';
    END IF;
    r := redeem.lock_redemption(p_request.city_id, p_request.redemption_id);
    IF r.ended_at IS NOT NULL THEN
        RETURN 'reversed';
    ELSIF r.state = 'held' THEN
        PERFORM redeem.end_redemption(r, 'reversed', 'J9', v_actor, p_at);
        RETURN 'reversed';
    ELSIF r.state = 'pending' THEN
        UPDATE redeem.redemptions SET reversal_wanted_at = coalesce(reversal_wanted_at, p_at)
        WHERE city_id = r.city_id AND redemption_id = r.redemption_id;
        RETURN 'pending';
    ELSIF r.captured_kind = 'J17' THEN
        UPDATE redeem.redemptions
        SET state = 'pending', reversal_wanted_at = p_at
        WHERE city_id = r.city_id AND redemption_id = r.redemption_id;
        PERFORM redeem.instruct_refund(r, p_at);
        RETURN 'pending';
    END IF;
    -- Whether the capture is in a payout must not change before this is booked.
    PERFORM pg_advisory_xact_lock_shared(ledger.settlement_lock(r.city_id, r.programme_id));
    PERFORM redeem.end_redemption(
        r, 'reversed',
        CASE WHEN EXISTS (
            SELECT 1 FROM ledger.payout_items AS i
            WHERE i.city_id = r.city_id AND i.settlement_id = r.settlement_id AND NOT i.void
        ) THEN 'J23' ELSE 'J21' END,
        v_actor, p_at
    );
    RETURN 'reversed';
END
$$;
