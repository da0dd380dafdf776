-- The journals of redemptions. Every amount follows from the redemption's row and from what each
-- funder pays of its voucher.

-- The lines of one journal kind, for each of these redemptions, in their order. Like redeem.judge it
-- becomes a part of its caller's plan.
--   J8  hold            outstanding -> held
--   J9  hold ended      held -> outstanding, or return when the voucher has expired meanwhile
--   J10 capture         held, or outstanding in one step -> payable
--   J11 absorbed share  payable -> pledge of the merchants
--   J17 e-CNY, final    held -> payable -> (pledge of the merchants) -> wallet, one journal
--   J21, J22 reversed before settlement   payable, pledge -> outstanding, or return
--   J23 after settlement                  merchant_recv, pledge -> outstanding or return
--   J23e after e-CNY finality             wallet, pledge -> outstanding or return
CREATE OR REPLACE FUNCTION redeem.lines_for(
    p_city smallint, p_redemptions uuid[], p_kind text,
    OUT place integer, OUT debit text, OUT credit text, OUT amount_fen bigint
) RETURNS SETOF record
LANGUAGE sql STABLE
AS $$
    SELECT r.place, line.debit, line.credit, s.amount_fen
    FROM (
        SELECT asked.place::integer, found.*
        FROM unnest(p_redemptions) WITH ORDINALITY AS asked (redemption_id, place)
        CROSS JOIN LATERAL (
            SELECT * FROM redeem.redemptions AS r
            WHERE r.city_id = p_city AND r.redemption_id = asked.redemption_id
            LIMIT 1
        ) AS found
    ) AS r
    CROSS JOIN LATERAL redeem.shares(p_city, r.drop_id, r.kind_id) AS s
    CROSS JOIN LATERAL (
        SELECT
            'outstanding:' || s.funder_id || ':' || r.drop_id AS outstanding,
            'held:' || s.funder_id || ':' || r.drop_id AS held,
            'payable:' || r.merchant_id AS payable,
            CASE r.ended_into
                WHEN 'return' THEN 'return:' || s.funder_id
                ELSE 'outstanding:' || s.funder_id || ':' || r.drop_id
            END AS back,
            CASE WHEN s.is_absorbed THEN 'pledge:' || s.funder_id
                WHEN p_kind = 'J23' THEN 'merchant_recv:' || r.merchant_id
                WHEN p_kind IN ('J17', 'J23e') THEN 'wallet:main'
                ELSE 'payable:' || r.merchant_id
            END AS paid_by
    ) AS a
    CROSS JOIN LATERAL (
        SELECT 1 AS step, a.outstanding AS debit, a.held AS credit WHERE p_kind = 'J8'
        UNION ALL
        SELECT 1, a.held, a.back WHERE p_kind = 'J9'
        UNION ALL
        SELECT 1, CASE WHEN r.held_at IS NULL THEN a.outstanding ELSE a.held END, a.payable
        WHERE p_kind = 'J10'
        UNION ALL
        SELECT 1, a.payable, a.paid_by WHERE p_kind = 'J11' AND s.is_absorbed
        UNION ALL
        SELECT 1, a.held, a.payable WHERE p_kind = 'J17'
        UNION ALL
        SELECT 2, a.payable, a.paid_by WHERE p_kind = 'J17'
        UNION ALL
        SELECT 1, a.paid_by, a.back WHERE p_kind IN ('J21', 'J22', 'J23', 'J23e')
    ) AS line
    ORDER BY r.place, line.step, s.funder_id
$$;

-- Post one journal of p_kind for each of these redemptions and return the journals' ids in the same
-- order. Without p_actor the till did it.
CREATE OR REPLACE FUNCTION redeem.post_for(
    p_city smallint, p_redemptions uuid[], p_kind text, p_actor text, p_at timestamptz
) RETURNS uuid[]
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v_journals uuid[];
    v_programmes uuid[];
    v_drops uuid[];
    v_actors text[];
    v_events text[];
    v_lines integer[];
    v_debits text[];
    v_credits text[];
    v_amounts bigint[];
BEGIN
    IF p_redemptions IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT
        array_agg(ledger.new_id(p_city) ORDER BY asked.place),
        array_agg(r.programme_id ORDER BY asked.place),
        array_agg(r.drop_id ORDER BY asked.place),
        array_agg(coalesce(p_actor, 'terminal:' || r.terminal_id) ORDER BY asked.place),
        array_agg(r.redemption_id::text ORDER BY asked.place)
    INTO v_journals, v_programmes, v_drops, v_actors, v_events
    FROM unnest(p_redemptions) WITH ORDINALITY AS asked (redemption_id, place)
    CROSS JOIN LATERAL (
        SELECT * FROM redeem.redemptions AS r
        WHERE r.city_id = p_city AND r.redemption_id = asked.redemption_id
        LIMIT 1
    ) AS r;
    SELECT
        array_agg(l.place), array_agg(l.debit), array_agg(l.credit), array_agg(l.amount_fen)
    INTO v_lines, v_debits, v_credits, v_amounts
    FROM redeem.lines_for(p_city, p_redemptions, p_kind) AS l;
    PERFORM ledger.post_many(
        p_city, p_at, v_journals, v_programmes, array_fill(p_kind, ARRAY[cardinality(v_journals)]),
        v_events, v_drops, v_actors, v_lines, v_debits, v_credits, v_amounts
    );
    RETURN v_journals;
END
$$;

-- Book captures: J10 with J11, or J17, and the settlement record of each.
CREATE OR REPLACE FUNCTION redeem.book_captures(
    p_city smallint, p_redemptions uuid[], p_kind text, p_actor text, p_at timestamptz
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v_journals uuid[];
    v_absorbed uuid[];
BEGIN
    IF p_redemptions IS NULL THEN
        RETURN;
    END IF;
    v_journals := redeem.post_for(p_city, p_redemptions, p_kind, p_actor, p_at);
    IF p_kind = 'J10' THEN
        SELECT array_agg(r.redemption_id ORDER BY r.redemption_id) INTO v_absorbed
        FROM redeem.redemptions AS r
        WHERE r.city_id = p_city AND r.redemption_id = ANY (p_redemptions) AND r.absorbed_fen > 0;
        PERFORM redeem.post_for(p_city, v_absorbed, 'J11', p_actor, p_at);
    END IF;
    PERFORM redeem.record(p_city, p_redemptions, 'REDEEM', v_journals, p_at);
END
$$;

-- Write the settlement record of each redemption (REDEEM, under the id that the capture gave it) or of
-- its reversal (REVERSAL).
CREATE OR REPLACE FUNCTION redeem.record(
    p_city smallint, p_redemptions uuid[], p_type text, p_journals uuid[], p_at timestamptz
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v_instruction text := CASE p_type WHEN 'REDEEM' THEN 'pay' ELSE 'refund' END;
BEGIN
    INSERT INTO ledger.settlement_records (
        city_id, settlement_id, record_version, record_type, original_settlement_id,
        idempotency_key, programme_id, drop_id, claim_id, position, kind_id,
        voucher_instance_seq, voucher_count, directive_use, condition_result, rail,
        payee_wallet_id, funder_wallet_id, merchant_id, terminal_id, mcc, region_code, order_no,
        operator_txn_no, end_to_end_no, order_amount_fen, voucher_amount_fen,
        consumer_paid_fen, other_discount_fen, fund_split, fee_fen, net_fen, event_time,
        operator_time, accounting_date, settle_cycle, finality_time, status, voucher_valid_to,
        refund_policy, refund_waterfall, ledger_txn_id, actor
    )
    SELECT
        p_city, CASE p_type WHEN 'REDEEM' THEN r.settlement_id ELSE ledger.new_id(p_city) END, 1,
        p_type,
        CASE WHEN p_type = 'REVERSAL' THEN r.settlement_id END,
        r.request_no, r.programme_id, r.drop_id, r.claim_id, r.position, r.kind_id, r.draw_seq,
        1, ARRAY[r.category],
        jsonb_build_object(
            'time', 'pass', 'merchant', 'pass', 'category', 'pass', 'threshold', 'pass'
        ),
        CASE r.rail WHEN 'ecny' THEN 'ECNY_WALLET' ELSE 'BANK' END,
        i.payee_wallet, i.wallet, r.merchant_id, r.terminal_id, m.mcc, m.region_code,
        r.order_no, i.operator_txn_no, coalesce(i.instruction_id, r.redemption_id)::text,
        r.order_amount_fen, r.amount_fen, r.order_amount_fen - r.amount_fen, 0,
        split.fund_split,
        0, r.amount_fen - r.absorbed_fen, p_at, i.operator_time,
        ledger.accounting_date(p_at),
        CASE r.rail WHEN 'ecny' THEN 'T0_FINAL' ELSE 'T1_BATCH' END,
        CASE r.rail WHEN 'ecny' THEN coalesce(i.operator_time, p_at) END,
        CASE p_type WHEN 'REDEEM' THEN 'SUCCESS' ELSE 'REVERSED' END,
        v.valid_until, k.refund_policy, 'own_money_first', asked.journal_id,
        CASE p_type WHEN 'REDEEM' THEN r.captured_by ELSE r.ended_by END
    FROM unnest(p_redemptions, p_journals) AS asked (redemption_id, journal_id)
    CROSS JOIN LATERAL (
        SELECT * FROM redeem.redemptions AS r
        WHERE r.city_id = p_city AND r.redemption_id = asked.redemption_id
        LIMIT 1
    ) AS r
    CROSS JOIN LATERAL (
        SELECT v.valid_until FROM redeem.vouchers AS v
        WHERE v.city_id = p_city AND v.claim_id = r.claim_id AND v.position = r.position
        LIMIT 1
    ) AS v
    CROSS JOIN LATERAL (
        SELECT k.refund_policy FROM campaign.voucher_kinds AS k
        WHERE k.city_id = p_city AND k.drop_id = r.drop_id AND k.kind_id = r.kind_id
        LIMIT 1
    ) AS k
    CROSS JOIN LATERAL (
        SELECT m.mcc, m.region_code FROM campaign.merchants AS m
        WHERE m.city_id = p_city AND m.merchant_id = r.merchant_id
        LIMIT 1
    ) AS m
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(s.funder_id, s.amount_fen) AS fund_split
        FROM redeem.shares(p_city, r.drop_id, r.kind_id) AS s
    ) AS split
    LEFT JOIN LATERAL (
        SELECT * FROM redeem.instructions AS i
        WHERE i.city_id = p_city AND i.redemption_id = r.redemption_id
            AND i.kind = v_instruction AND i.state = 'confirmed'
        LIMIT 1
    ) AS i ON true;
END
$$;
