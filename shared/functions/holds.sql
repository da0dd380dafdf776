-- How a hold ends: captured, released by its till, timed out, or reversed.

-- Give a redemption's money back, and end it. The voucher is good again, unless it expired
-- meanwhile: then the money is owed to the funders. p_kind is J9 while the money is held, and J21 to
-- J23 once it was captured (J21 and J22 differ in where the money goes, and the caller asks for J21).
-- The caller holds the claim and the cohort.
CREATE OR REPLACE FUNCTION redeem.end_redemption(
    p_redemption redeem.redemptions, p_state text, p_kind text, p_actor text, p_at timestamptz
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v redeem.vouchers;
    v_into text;
    v_kind text;
    v_journals uuid[];
BEGIN
    SELECT * INTO v FROM redeem.vouchers
    WHERE city_id = p_redemption.city_id AND claim_id = p_redemption.claim_id
        AND position = p_redemption.position
    FOR NO KEY UPDATE;
    v_into := CASE WHEN EXISTS (
        SELECT 1 FROM redeem.expiries AS e
        WHERE e.city_id = v.city_id AND e.drop_id = v.drop_id AND e.kind_id = v.kind_id
            AND e.valid_until = v.valid_until
    ) THEN 'return' ELSE 'outstanding' END;
    v_kind := CASE WHEN p_kind = 'J21' AND v_into = 'return' THEN 'J22' ELSE p_kind END;

    UPDATE redeem.vouchers SET
        held_fen = 0,
        remaining_fen = CASE v_into WHEN 'return' THEN 0 ELSE p_redemption.amount_fen END,
        state = CASE v_into WHEN 'return' THEN 'expired' ELSE 'open' END
    WHERE city_id = v.city_id AND claim_id = v.claim_id AND position = v.position;
    UPDATE redeem.redemptions SET
        state = p_state, ended_at = p_at, ended_kind = v_kind, ended_into = v_into, ended_by = p_actor
    WHERE city_id = p_redemption.city_id AND redemption_id = p_redemption.redemption_id;
    v_journals := redeem.post_for(
        p_redemption.city_id, ARRAY[p_redemption.redemption_id], v_kind, p_actor, p_at
    );
    IF v_kind <> 'J9' THEN
        PERFORM redeem.record(
            p_redemption.city_id, ARRAY[p_redemption.redemption_id], 'REVERSAL', v_journals, p_at
        );
    END IF;
END
$$;

-- Lock a redemption for a change: its claim, its cohort, then itself. NULL when there is none.
CREATE OR REPLACE FUNCTION redeem.lock_redemption(p_city smallint, p_redemption uuid)
RETURNS redeem.redemptions
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    r redeem.redemptions;
BEGIN
    SELECT * INTO r FROM redeem.redemptions
    WHERE city_id = p_city AND redemption_id = p_redemption;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM 1 FROM claim.claims
    WHERE city_id = p_city AND claim_id = r.claim_id
    FOR NO KEY UPDATE;
    PERFORM claim.share_cohorts(p_city, ARRAY[r.claim_id]);
    SELECT * INTO r FROM redeem.redemptions
    WHERE city_id = p_city AND redemption_id = p_redemption
    FOR NO KEY UPDATE;
    RETURN r;
END
$$;

-- Capture or release a hold, as its till asks (p_operation 'capture' or 'release').
-- outcome: 'captured', 'pending', 'released', or why not: 'idempotency_key_reused', 'reversed',
-- 'not_found' (not kept: this till has no such redemption), 'terminal_suspended',
-- 'merchant_not_enrolled', 'hold_ended' (it timed out, or was released or captured before).
CREATE OR REPLACE FUNCTION redeem.finish_hold(
    p_city smallint,
    p_terminal uuid,
    p_request_no text,
    p_hash bytea,
    p_redemption uuid,
    p_operation text,
    OUT outcome text,
    OUT is_replayed boolean
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    q redeem.requests;
    r redeem.redemptions;
    v_now timestamptz;
    v_actor text := 'terminal:' || p_terminal;
BEGIN
    PERFORM redeem.lock_requests(ARRAY[p_terminal], ARRAY[p_request_no]);
    PERFORM pg_advisory_xact_lock_shared(campaign.till_lock(p_city));
    SELECT * INTO q FROM redeem.requests
    WHERE city_id = p_city AND terminal_id = p_terminal AND request_no = p_request_no;
    is_replayed := FOUND;
    IF is_replayed THEN
        SELECT * INTO r FROM redeem.redemptions
        WHERE city_id = p_city AND redemption_id = q.redemption_id;
        outcome := CASE
            WHEN q.body_hash <> p_hash OR q.operation NOT IN (p_operation, 'tombstone')
                OR (q.operation <> 'tombstone' AND q.redemption_id <> p_redemption)
                THEN 'idempotency_key_reused'
            -- By this number, or by that under which the money was held.
            WHEN q.reversed_at IS NOT NULL
                OR (q.outcome IN ('captured', 'pending') AND r.state = 'reversed')
                THEN 'reversed'
            WHEN q.outcome = 'pending' THEN r.state
            ELSE q.outcome
        END;
        RETURN;
    END IF;

    r := redeem.lock_redemption(p_city, p_redemption);
    v_now := campaign.now();
    outcome := CASE
        WHEN r.redemption_id IS NULL OR r.terminal_id <> p_terminal THEN 'not_found'
        -- A suspended till may still give back what it holds.
        WHEN p_operation = 'capture' THEN redeem.till_refusal(p_city, p_terminal)
    END;
    IF outcome = 'not_found' THEN
        RETURN;
    ELSIF outcome IS NULL AND (r.state <> 'held' OR v_now >= r.hold_expires_at) THEN
        outcome := 'hold_ended';
    END IF;
    IF outcome IS NULL THEN
        outcome := redeem.settle_hold(r, p_operation, v_actor, v_now);
    END IF;
    INSERT INTO redeem.requests (
        city_id, terminal_id, request_no, operation, body_hash, outcome, details, redemption_id,
        decided_at
    ) VALUES (
        p_city, p_terminal, p_request_no, p_operation, p_hash, outcome, '{}', p_redemption, v_now
    );
END
$$;

-- Why a till may take no money now, or NULL.
CREATE OR REPLACE FUNCTION redeem.till_refusal(p_city smallint, p_terminal uuid) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    SELECT CASE
        WHEN t.state <> 'active' THEN 'terminal_suspended'
        WHEN m.state <> 'active' THEN 'merchant_not_enrolled'
    END
    FROM campaign.terminals AS t
    JOIN campaign.merchants AS m USING (city_id, merchant_id)
    WHERE t.city_id = p_city AND t.terminal_id = p_terminal
$$;

-- Capture or release a redemption that is held and locked. Returns its new state.
CREATE OR REPLACE FUNCTION redeem.settle_hold(
    p_redemption redeem.redemptions, p_operation text, p_actor text, p_at timestamptz
) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    r redeem.redemptions := p_redemption;
BEGIN
    IF p_operation = 'release' THEN
        PERFORM redeem.end_redemption(r, 'released', 'J9', p_actor, p_at);
        RETURN 'released';
    ELSIF r.rail = 'ecny' AND r.absorbed_fen < r.amount_fen THEN
        UPDATE redeem.redemptions SET state = 'pending'
        WHERE city_id = r.city_id AND redemption_id = r.redemption_id;
        PERFORM redeem.instruct(r, 'pay', NULL, p_at);
        RETURN 'pending';
    END IF;
    PERFORM redeem.capture_held(r, 'J10', p_actor, p_at);
    RETURN 'captured';
END
$$;

-- Take the held money: the voucher is redeemed.
CREATE OR REPLACE FUNCTION redeem.capture_held(
    p_redemption redeem.redemptions, p_kind text, p_actor text, p_at timestamptz
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
BEGIN
    UPDATE redeem.vouchers SET held_fen = 0, state = 'redeemed'
    WHERE city_id = p_redemption.city_id AND claim_id = p_redemption.claim_id
        AND position = p_redemption.position;
    UPDATE redeem.redemptions SET
        state = 'captured', captured_at = p_at, captured_kind = p_kind, captured_by = p_actor,
        settlement_id = ledger.new_id(p_redemption.city_id)
    WHERE city_id = p_redemption.city_id AND redemption_id = p_redemption.redemption_id;
    PERFORM redeem.book_captures(
        p_redemption.city_id, ARRAY[p_redemption.redemption_id], p_kind, p_actor, p_at
    );
END
$$;

-- Holds whose time is over, up to p_limit of them, the oldest first.
CREATE OR REPLACE FUNCTION redeem.overdue_holds(
    p_limit integer, OUT city_id smallint, OUT redemption_id uuid
) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    SELECT o.city_id, o.redemption_id
    FROM campaign.cities AS c
    CROSS JOIN LATERAL (
        SELECT r.city_id, r.redemption_id, r.hold_expires_at FROM redeem.redemptions AS r
        WHERE r.city_id = c.city_id AND r.state = 'held'
            -- Asked once, so that the index ends where the time does.
            AND r.hold_expires_at <= (SELECT campaign.now())
        ORDER BY r.hold_expires_at
        LIMIT p_limit
    ) AS o
    ORDER BY o.hold_expires_at
    LIMIT p_limit
$$;

-- Release one hold whose time is over; false when it was over otherwise. One a transaction: a second
-- claim locked behind the first one's cohorts could deadlock with an expiry.
CREATE OR REPLACE FUNCTION redeem.time_out(p_city smallint, p_redemption uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    r redeem.redemptions := redeem.lock_redemption(p_city, p_redemption);
    v_now timestamptz := campaign.now();
BEGIN
    IF r.state IS DISTINCT FROM 'held' OR r.hold_expires_at > v_now THEN
        RETURN false;
    END IF;
    PERFORM redeem.end_redemption(r, 'released', 'J9', 'timeout', v_now);
    RETURN true;
END
$$;
