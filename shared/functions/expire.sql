-- Expiry. A cohort ends in one journal (J18), however many vouchers it has: nobody touched most of
-- them, so they are counted, not written.

-- Cohorts whose end has come, up to p_limit of them.
CREATE OR REPLACE FUNCTION redeem.due_cohorts(
    p_limit integer,
    OUT city_id smallint, OUT drop_id uuid, OUT kind_id text, OUT valid_until timestamptz
) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    SELECT due.city_id, due.drop_id, due.kind_id, due.valid_until
    FROM campaign.cities AS c
    CROSS JOIN LATERAL (
        SELECT k.city_id, k.drop_id, k.kind_id, k.valid_until FROM claim.expiry_cohorts AS k
        WHERE k.city_id = c.city_id AND NOT k.expired AND k.valid_until <= (SELECT campaign.now())
        ORDER BY k.valid_until
        LIMIT p_limit
    ) AS due
    ORDER BY due.valid_until
    LIMIT p_limit
$$;

-- Expire a cohort. Its open holds end first; what waits for the e-CNY operator stays held, and goes
-- back to the funders if the operator rejects it. Returns how many vouchers expired, NULL when there
-- was nothing to do: no such cohort, not over yet, or expired before.
CREATE OR REPLACE FUNCTION redeem.expire_cohort(
    p_city smallint, p_drop uuid, p_kind text, p_valid_until timestamptz
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    d campaign.drops;
    k campaign.voucher_kinds;
    r redeem.redemptions;
    v_now timestamptz;
    v_live bigint;
    v_known bigint;
    v_touched bigint;
    v_vouchers bigint;
BEGIN
    -- Alone: from here on nobody touches a voucher of the cohort.
    PERFORM pg_advisory_xact_lock(claim.cohort_lock(p_city, p_drop, p_kind, p_valid_until));
    v_now := campaign.now();
    UPDATE claim.expiry_cohorts SET expired = true
    WHERE city_id = p_city AND drop_id = p_drop AND kind_id = p_kind
        AND valid_until = p_valid_until AND v_now >= p_valid_until AND NOT expired;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT * INTO d FROM campaign.drops WHERE city_id = p_city AND drop_id = p_drop;
    SELECT * INTO k FROM campaign.voucher_kinds
    WHERE city_id = p_city AND drop_id = p_drop AND kind_id = p_kind;

    FOR r IN
        SELECT h.*
        FROM redeem.vouchers AS v
        CROSS JOIN LATERAL (
            SELECT * FROM redeem.redemptions AS h
            WHERE h.city_id = p_city AND h.claim_id = v.claim_id AND h.position = v.position
                AND h.ended_at IS NULL
            LIMIT 1
        ) AS h
        WHERE v.city_id = p_city AND v.drop_id = p_drop AND v.kind_id = p_kind
            AND v.valid_until = p_valid_until AND v.state = 'held' AND h.state = 'held'
    LOOP
        PERFORM redeem.end_redemption(r, 'released', 'J9', 'expiry', v_now);
    END LOOP;

    SELECT count(*) INTO v_live
    FROM claim.claims AS c
    WHERE c.city_id = p_city AND c.drop_id = p_drop AND c.serial >= 1 AND c.state = 'live'
        AND claim.valid_until(c.claimed_at, k.valid_days, k.valid_until) = p_valid_until;
    -- Vouchers that have a row, voided claims aside: those are not among the live ones.
    SELECT count(*) INTO v_known
    FROM redeem.vouchers AS v
    WHERE v.city_id = p_city AND v.drop_id = p_drop AND v.kind_id = p_kind
        AND v.valid_until = p_valid_until AND v.state <> 'void';
    WITH expired AS (
        UPDATE redeem.vouchers AS v SET state = 'expired', remaining_fen = 0
        WHERE v.city_id = p_city AND v.drop_id = p_drop AND v.kind_id = p_kind
            AND v.valid_until = p_valid_until AND v.state = 'open'
        RETURNING 1
    )
    SELECT count(*) INTO v_touched FROM expired;
    v_vouchers := v_live * k.count - v_known + v_touched;

    INSERT INTO redeem.expiries (
        city_id, drop_id, kind_id, valid_until, programme_id, untouched, touched, amount_fen,
        expired_at
    ) VALUES (
        p_city, p_drop, p_kind, p_valid_until, d.programme_id, v_vouchers - v_touched, v_touched,
        v_vouchers * k.face_fen, v_now
    );
    IF v_vouchers > 0 THEN
        PERFORM redeem.book_expiry(d, k, p_valid_until, v_vouchers, v_now);
    END IF;
    RETURN v_vouchers;
END
$$;

-- J18 with its settlement record: outstanding -> return, per funder.
CREATE OR REPLACE FUNCTION redeem.book_expiry(
    p_drop campaign.drops, p_kind campaign.voucher_kinds, p_valid_until timestamptz,
    p_vouchers bigint, p_at timestamptz
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v_event text := redeem.expiry_event(p_drop.drop_id, p_kind.kind_id, p_valid_until);
    v_journal uuid;
    v_debits text[];
    v_credits text[];
    v_amounts bigint[];
    v_split jsonb;
BEGIN
    SELECT
        array_agg(format('outstanding:%s:%s', s.funder_id, p_drop.drop_id)),
        array_agg('return:' || s.funder_id),
        array_agg(s.amount_fen * p_vouchers),
        jsonb_object_agg(s.funder_id, s.amount_fen * p_vouchers)
    INTO v_debits, v_credits, v_amounts, v_split
    FROM redeem.shares(p_drop.city_id, p_drop.drop_id, p_kind.kind_id) AS s;
    v_journal := ledger.post(
        p_drop.city_id, p_drop.programme_id, 'J18', v_event, p_drop.drop_id, 'expiry', p_at,
        v_debits, v_credits, v_amounts
    );
    INSERT INTO ledger.settlement_records (
        city_id, settlement_id, record_version, record_type, idempotency_key, programme_id, drop_id,
        kind_id, voucher_count, condition_result, rail, end_to_end_no, order_amount_fen,
        voucher_amount_fen, consumer_paid_fen, other_discount_fen, fund_split, fee_fen, net_fen,
        event_time, accounting_date, settle_cycle, status, voucher_valid_to, refund_policy,
        refund_waterfall, ledger_txn_id, actor
    ) VALUES (
        p_drop.city_id, ledger.new_id(p_drop.city_id), 1, 'EXPIRY_RETURN', v_event,
        p_drop.programme_id, p_drop.drop_id, p_kind.kind_id, p_vouchers,
        jsonb_build_object('time', 'over'),
        CASE p_drop.rail WHEN 'ecny' THEN 'ECNY_WALLET' ELSE 'BANK' END,
        v_event, p_vouchers * p_kind.face_fen, p_vouchers * p_kind.face_fen, 0, 0, v_split, 0, 0,
        p_at, ledger.accounting_date(p_at), 'POST_VERIFY', 'SUCCESS', p_valid_until,
        p_kind.refund_policy, 'own_money_first', v_journal, 'expiry'
    );
END
$$;

CREATE OR REPLACE FUNCTION redeem.expiry_event(
    p_drop uuid, p_kind text, p_valid_until timestamptz
) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('%s:%s:%s', p_drop, p_kind, extract(epoch FROM p_valid_until)::bigint)
$$;
