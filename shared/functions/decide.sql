-- Decide a batch of redemptions of one city, in one transaction: what makes a double redemption
-- impossible, whatever happens between a till and here.
--
-- Attempt n of terminal p_terminals[n] asks under p_request_nos[n] for the voucher at p_positions[n] of
-- claim p_claims[n]; p_redemptions[n] is the id that it proposes, p_hashes[n] the hash of its body
-- without code and quote, p_code_steps[n] the step of the code it showed, p_captures[n] whether to
-- take the money at once or to hold it.
--
-- outcome: captured, held, pending (the e-CNY operator is to be instructed), or why not:
-- idempotency_key_reused, reversed, already_redeemed, held_elsewhere, expired, voided,
-- below_min_spend, wrong_category, merchant_not_enrolled, terminal_suspended, bad_code.
-- is_replayed: the request was decided before, and this is what it was told. by_*: whose redemption
-- stands in the way. The rest is what a till is told of its redemption, which a later request may
-- have shown with another code.
--
-- Lock order everywhere: requests, tills, drops, claims, cohorts, vouchers, merchants, balances.
--
-- Raises invalid_parameter_value when a batch is too large, or names a voucher or a request twice:
-- that is the caller's error, and nothing of the batch is done.
CREATE OR REPLACE FUNCTION redeem.decide(
    p_city smallint,
    p_redemptions uuid[],
    p_terminals uuid[],
    p_request_nos text[],
    p_hashes bytea[],
    p_claims uuid[],
    p_positions smallint[],
    p_code_steps bigint[],
    p_order_nos text[],
    p_order_amounts bigint[],
    p_categories text[],
    p_captures boolean[],
    OUT outcomes text[],
    OUT are_replayed boolean[],
    OUT redemption_ids uuid[],
    OUT by_terminals uuid[],
    OUT by_request_nos text[],
    OUT by_ats timestamptz[],
    OUT claim_ids uuid[],
    OUT voucher_positions smallint[],
    OUT amounts_fen bigint[],
    OUT hold_expires_ats timestamptz[],
    OUT settlement_ids uuid[]
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz;
    v_held uuid[];
    v_captured uuid[];
BEGIN
    PERFORM redeem.refuse_unfit_batch(p_terminals, p_request_nos, p_claims, p_positions);
    PERFORM redeem.lock_requests(p_terminals, p_request_nos);
    PERFORM pg_advisory_xact_lock_shared(campaign.till_lock(p_city));
    PERFORM 1 FROM claim.claims AS c
    WHERE c.city_id = p_city AND c.claim_id = ANY (p_claims)
    ORDER BY c.claim_id
    FOR NO KEY UPDATE;
    v_now := campaign.now();
    PERFORM claim.share_cohorts(p_city, p_claims, v_now);
    v_now := greatest(v_now, campaign.now());

    -- What is judged here cannot change any more before the transaction ends.
    WITH attempt AS MATERIALIZED (
        SELECT a.*, j.*
        FROM unnest(
            p_redemptions, p_terminals, p_request_nos, p_hashes, p_claims, p_positions,
            p_code_steps, p_order_nos, p_order_amounts, p_categories, p_captures
        ) WITH ORDINALITY AS a (
            proposed_id, terminal_id, request_no, body_hash, claim_id, position, code_step,
            order_no, order_amount_fen, category, is_capture, place
        )
        CROSS JOIN LATERAL redeem.judge(
            p_city, a.terminal_id, a.request_no, a.body_hash, a.claim_id, a.position, a.code_step,
            a.order_amount_fen, a.category, a.is_capture, v_now
        ) AS j
    ),
    accepted AS MATERIALIZED (
        SELECT * FROM attempt WHERE is_accepted
    ),
    touched AS (
        INSERT INTO redeem.vouchers AS v (
            city_id, claim_id, position, drop_id, kind_id, valid_until, face_fen, remaining_fen,
            held_fen, draw_seq, code_step, state
        )
        SELECT
            p_city, claim_id, position, drop_id, kind_id, valid_until, amount_fen, 0,
            CASE WHEN outcome = 'captured' THEN 0 ELSE amount_fen END, draw_seq, code_step,
            CASE WHEN outcome = 'captured' THEN 'redeemed' ELSE 'held' END
        FROM accepted
        ON CONFLICT (city_id, claim_id, position) DO UPDATE SET
            remaining_fen = 0, held_fen = EXCLUDED.held_fen, draw_seq = EXCLUDED.draw_seq,
            code_step = EXCLUDED.code_step, state = EXCLUDED.state
    ),
    redeemed AS (
        INSERT INTO redeem.redemptions (
            city_id, redemption_id, claim_id, position, draw_seq, programme_id, drop_id, kind_id,
            merchant_id, terminal_id, request_no, order_no, order_amount_fen, category, amount_fen,
            absorbed_fen, rail, state, created_at, held_at, hold_expires_at, captured_at,
            captured_kind, captured_by, settlement_id
        )
        SELECT
            p_city, proposed_id, claim_id, position, draw_seq, programme_id, drop_id, kind_id,
            merchant_id, terminal_id, request_no, order_no, order_amount_fen, category, amount_fen,
            absorbed_fen, rail, outcome, v_now,
            CASE WHEN outcome <> 'captured' THEN v_now END,
            CASE WHEN outcome = 'held' THEN least(v_now + interval '15 minutes', valid_until) END,
            CASE WHEN outcome = 'captured' THEN v_now END,
            CASE WHEN outcome = 'captured' THEN 'J10' END,
            CASE WHEN outcome = 'captured' THEN 'terminal:' || terminal_id END,
            CASE WHEN outcome = 'captured' THEN ledger.new_id(p_city) END
        FROM accepted
    ),
    instructed AS (
        INSERT INTO redeem.instructions (
            city_id, instruction_id, redemption_id, kind, amount_fen, wallet, payee_wallet, state,
            attempts, next_at, created_at
        )
        SELECT p_city, ledger.new_id(p_city), proposed_id, 'pay', amount_fen - absorbed_fen,
            programme_id::text, payee_wallet, 'open', 0, v_now, v_now
        FROM accepted
        WHERE outcome = 'pending'
    ),
    remembered AS (
        INSERT INTO redeem.requests (
            city_id, terminal_id, request_no, operation, body_hash, outcome, details, redemption_id,
            decided_at
        )
        SELECT p_city, terminal_id, request_no, 'redeem', body_hash, outcome,
            CASE WHEN by_terminal IS NULL THEN '{}' ELSE jsonb_build_object(
                'terminal', by_terminal, 'request_no', by_request_no, 'at', by_at
            ) END,
            CASE WHEN is_accepted THEN proposed_id END, v_now
        FROM attempt
        WHERE is_kept
    )
    SELECT
        array_agg(outcome ORDER BY place),
        array_agg(is_replayed ORDER BY place),
        array_agg(CASE WHEN is_accepted THEN proposed_id ELSE redemption_id END ORDER BY place),
        array_agg(by_terminal ORDER BY place),
        array_agg(by_request_no ORDER BY place),
        array_agg(by_at ORDER BY place),
        array_agg(proposed_id ORDER BY place) FILTER (
            WHERE is_accepted AND outcome IN ('held', 'pending')
        ),
        array_agg(proposed_id ORDER BY place) FILTER (WHERE is_accepted AND outcome = 'captured')
    INTO outcomes, are_replayed, redemption_ids, by_terminals, by_request_nos, by_ats,
        v_held, v_captured
    FROM attempt;

    PERFORM redeem.post_for(p_city, v_held, 'J8', NULL, v_now);
    PERFORM redeem.book_captures(p_city, v_captured, 'J10', NULL, v_now);

    SELECT
        array_agg(r.claim_id ORDER BY told.place),
        array_agg(r.position ORDER BY told.place),
        array_agg(r.amount_fen ORDER BY told.place),
        array_agg(r.hold_expires_at ORDER BY told.place),
        array_agg(r.settlement_id ORDER BY told.place)
    INTO claim_ids, voucher_positions, amounts_fen, hold_expires_ats, settlement_ids
    FROM unnest(redemption_ids) WITH ORDINALITY AS told (redemption_id, place)
    LEFT JOIN LATERAL (
        SELECT s.claim_id, s.position, s.amount_fen, s.hold_expires_at, s.settlement_id
        FROM redeem.redemptions AS s
        WHERE s.city_id = p_city AND s.redemption_id = told.redemption_id
        LIMIT 1
    ) AS r ON true;
END
$$;

CREATE OR REPLACE FUNCTION redeem.refuse_unfit_batch(
    p_terminals uuid[], p_request_nos text[], p_claims uuid[], p_positions smallint[]
) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF cardinality(p_claims) > 256 THEN
        RAISE EXCEPTION 'a batch holds at most 256 attempts, not %', cardinality(p_claims)
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF (
        SELECT count(DISTINCT (a.claim_id, a.position)) < count(*)
            OR count(DISTINCT (a.terminal_id, a.request_no)) < count(*)
        FROM unnest(p_terminals, p_request_nos, p_claims, p_positions)
            AS a (terminal_id, request_no, claim_id, position)
    ) THEN
        RAISE EXCEPTION 'a batch names each voucher and each request once'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;

-- Hold what others may ask under the same numbers: two copies of a request, or a request and its
-- reversal, are decided one after the other. Sorted, so that two batches cannot deadlock.
CREATE OR REPLACE FUNCTION redeem.lock_requests(p_terminals uuid[], p_request_nos text[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_lock bigint;
BEGIN
    FOR v_lock IN
        SELECT DISTINCT
            hashtextextended(format('redeem.request:%s:%s', a.terminal_id, a.request_no), 0) AS lock
        FROM unnest(p_terminals, p_request_nos) AS a (terminal_id, request_no)
        ORDER BY lock
    LOOP
        PERFORM pg_advisory_xact_lock(v_lock);
    END LOOP;
END
$$;

-- What one attempt is told, and the facts that it is booked from. Reads only.
-- is_accepted: a redemption is made. is_kept: the till is told the same for ever; a code that is not
-- good is the one answer that is not kept.
--
-- One query without settings of its own, so that it becomes a part of its caller's plan: a call per
-- attempt cost more than all its look-ups. Each of them is limited to the one row that it can find,
-- which holds the planner to the whole key: without it, it may read everything of a city instead.
CREATE OR REPLACE FUNCTION redeem.judge(
    p_city smallint,
    p_terminal uuid,
    p_request_no text,
    p_hash bytea,
    p_claim uuid,
    p_position smallint,
    p_code_step bigint,
    p_order_amount bigint,
    p_category text,
    p_capture boolean,
    p_at timestamptz,
    OUT outcome text,
    OUT is_replayed boolean,
    OUT is_accepted boolean,
    OUT is_kept boolean,
    OUT redemption_id uuid,
    OUT by_terminal uuid,
    OUT by_request_no text,
    OUT by_at timestamptz,
    OUT programme_id uuid,
    OUT drop_id uuid,
    OUT kind_id text,
    OUT valid_until timestamptz,
    OUT merchant_id uuid,
    OUT payee_wallet text,
    OUT amount_fen bigint,
    OUT absorbed_fen bigint,
    OUT rail text,
    OUT draw_seq integer
) RETURNS SETOF record
LANGUAGE sql STABLE
AS $$
    SELECT
        coalesce(
            j.refusal,
            CASE
                WHEN NOT p_capture THEN 'held'
                WHEN j.rail = 'ecny' AND j.absorbed_fen < j.face_fen THEN 'pending'
                ELSE 'captured'
            END
        ),
        j.is_replayed,
        j.refusal IS NULL,
        NOT j.is_replayed AND j.refusal IS DISTINCT FROM 'bad_code' AND j.terminal_id IS NOT NULL,
        j.redemption_id, j.by_terminal, j.by_request_no, j.by_at, j.programme_id, j.drop_id,
        j.kind_id, j.valid_until, j.merchant_id, j.payee_wallet, j.face_fen, j.absorbed_fen, j.rail,
        j.draw_seq
    FROM (
        SELECT
            CASE
                WHEN q.body_hash <> p_hash OR q.operation NOT IN ('redeem', 'tombstone')
                    THEN 'idempotency_key_reused'
                -- By this number, or by that of the capture of what it held.
                WHEN q.reversed_at IS NOT NULL OR told.state = 'reversed' THEN 'reversed'
                WHEN q.outcome = 'pending' THEN told.state
                WHEN q.outcome IS NOT NULL THEN q.outcome
                WHEN t.state IS DISTINCT FROM 'active' THEN 'terminal_suspended'
                WHEN m.state IS DISTINCT FROM 'active' THEN 'merchant_not_enrolled'
                WHEN k.kind_id IS NULL THEN 'bad_code'
                WHEN e.merchant_id IS NULL THEN 'merchant_not_enrolled'
                WHEN r.state = 'captured' THEN 'already_redeemed'
                WHEN r.state IS NOT NULL THEN 'held_elsewhere'
                WHEN c.state <> 'live' THEN 'voided'
                -- What has expired stays so, on a server that took over with a clock behind too.
                WHEN p_at >= k.ends_at OR x.expired_at IS NOT NULL THEN 'expired'
                WHEN p_code_step <= v.code_step THEN 'bad_code'
                WHEN p_category IS DISTINCT FROM k.category
                    OR (k.category = ANY (m.categories)) IS NOT TRUE THEN 'wrong_category'
                WHEN p_order_amount < greatest(k.min_spend_fen, k.face_fen) THEN 'below_min_spend'
            END AS refusal,
            q.outcome IS NOT NULL AS is_replayed,
            q.redemption_id,
            CASE WHEN q.outcome IS NULL THEN r.terminal_id ELSE (q.details ->> 'terminal')::uuid END
                AS by_terminal,
            CASE WHEN q.outcome IS NULL THEN r.request_no ELSE q.details ->> 'request_no' END
                AS by_request_no,
            CASE WHEN q.outcome IS NULL THEN coalesce(r.captured_at, r.created_at)
                ELSE (q.details ->> 'at')::timestamptz END AS by_at,
            d.programme_id, c.drop_id, k.kind_id, k.ends_at AS valid_until, t.terminal_id,
            t.merchant_id, coalesce(m.wallet_id, t.merchant_id::text) AS payee_wallet, k.face_fen,
            CASE WHEN d.absorbs THEN redeem.absorbed(p_city, c.drop_id, k.kind_id) ELSE 0 END
                AS absorbed_fen,
            d.rail, coalesce(v.draw_seq, 0) + 1 AS draw_seq
        FROM (VALUES (true)) AS one (attempt)
        LEFT JOIN LATERAL (
            SELECT * FROM redeem.requests AS s
            WHERE s.city_id = p_city AND s.terminal_id = p_terminal AND s.request_no = p_request_no
            LIMIT 1
        ) AS q ON true
        LEFT JOIN LATERAL (
            SELECT s.state FROM redeem.redemptions AS s
            WHERE s.city_id = p_city AND s.redemption_id = q.redemption_id
            LIMIT 1
        ) AS told ON true
        LEFT JOIN LATERAL (
            SELECT * FROM campaign.terminals AS s
            WHERE s.city_id = p_city AND s.terminal_id = p_terminal
            LIMIT 1
        ) AS t ON true
        LEFT JOIN LATERAL (
            SELECT * FROM campaign.merchants AS s
            WHERE s.city_id = p_city AND s.merchant_id = t.merchant_id
            LIMIT 1
        ) AS m ON true
        LEFT JOIN LATERAL (
            SELECT * FROM claim.claims AS s
            WHERE s.city_id = p_city AND s.claim_id = p_claim
            LIMIT 1
        ) AS c ON true
        LEFT JOIN LATERAL (
            SELECT * FROM campaign.drops AS s
            WHERE s.city_id = p_city AND s.drop_id = c.drop_id
            LIMIT 1
        ) AS d ON true
        LEFT JOIN LATERAL (
            SELECT upto.kind_id, upto.category, upto.face_fen, upto.min_spend_fen,
                claim.valid_until(c.claimed_at, upto.valid_days, upto.valid_until) AS ends_at
            FROM (
                SELECT n.*, sum(n.count) OVER (ORDER BY n.position) AS vouchers
                FROM campaign.voucher_kinds AS n
                WHERE n.city_id = p_city AND n.drop_id = c.drop_id
            ) AS upto
            WHERE upto.vouchers > p_position
            ORDER BY upto.vouchers
            LIMIT 1
        ) AS k ON true
        LEFT JOIN LATERAL (
            SELECT * FROM redeem.vouchers AS s
            WHERE s.city_id = p_city AND s.claim_id = p_claim AND s.position = p_position
            LIMIT 1
        ) AS v ON true
        LEFT JOIN LATERAL (
            SELECT * FROM redeem.redemptions AS s
            WHERE s.city_id = p_city AND s.claim_id = p_claim AND s.position = p_position
                AND s.ended_at IS NULL
            LIMIT 1
        ) AS r ON true
        LEFT JOIN LATERAL (
            SELECT s.merchant_id FROM campaign.enrolments AS s
            WHERE s.city_id = p_city AND s.merchant_id = t.merchant_id
                AND s.programme_id = d.programme_id
            LIMIT 1
        ) AS e ON true
        LEFT JOIN LATERAL (
            SELECT s.expired_at FROM redeem.expiries AS s
            WHERE s.city_id = p_city AND s.drop_id = c.drop_id AND s.kind_id = k.kind_id
                AND s.valid_until = k.ends_at
            LIMIT 1
        ) AS x ON true
        OFFSET 0
    ) AS j
$$;

-- What of a voucher is taken off what the merchant is paid.
CREATE OR REPLACE FUNCTION redeem.absorbed(p_city smallint, p_drop uuid, p_kind text)
RETURNS bigint
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(sum(s.amount_fen) FILTER (WHERE s.is_absorbed), 0)::bigint
    FROM redeem.shares(p_city, p_drop, p_kind) AS s
$$;

-- What each funder pays of a voucher, and whether that is taken off what the merchant is paid. It too
-- becomes a part of its caller's plan; the offset keeps it a look-up there.
CREATE OR REPLACE FUNCTION redeem.shares(
    p_city smallint, p_drop uuid, p_kind text,
    OUT funder_id text, OUT amount_fen bigint, OUT is_absorbed boolean
) RETURNS SETOF record
LANGUAGE sql STABLE
AS $$
    SELECT s.funder_id, s.amount_fen, d.absorbs AND f.kind = 'merchant_pool' AND f.mode = 'pledge'
    FROM campaign.kind_shares AS s
    CROSS JOIN LATERAL (
        SELECT d.programme_id, d.absorbs FROM campaign.drops AS d
        WHERE d.city_id = p_city AND d.drop_id = p_drop
        LIMIT 1
    ) AS d
    CROSS JOIN LATERAL (
        SELECT f.kind, f.mode FROM campaign.funders AS f
        WHERE f.city_id = p_city AND f.programme_id = d.programme_id AND f.funder_id = s.funder_id
        LIMIT 1
    ) AS f
    WHERE s.city_id = p_city AND s.drop_id = p_drop AND s.kind_id = p_kind AND s.amount_fen > 0
    OFFSET 0
$$;

-- What a redemption would be told now. Nothing is locked, kept or changed.
-- outcome: 'applicable', or why not, as in redeem.decide.
CREATE OR REPLACE FUNCTION redeem.quote(
    p_city smallint,
    p_terminal uuid,
    p_claim uuid,
    p_position smallint,
    p_code_step bigint,
    p_order_amount bigint,
    p_category text,
    OUT outcome text,
    OUT discount_fen bigint,
    OUT min_spend_fen bigint,
    OUT voucher_category text,
    OUT valid_until timestamptz,
    OUT by_terminal uuid,
    OUT by_request_no text,
    OUT by_at timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    SELECT CASE WHEN j.is_accepted THEN 'applicable' ELSE j.outcome END, j.amount_fen,
        greatest(k.min_spend_fen, k.face_fen), k.category, j.valid_until,
        j.by_terminal, j.by_request_no, j.by_at
    FROM redeem.judge(
        p_city, p_terminal, NULL, NULL, p_claim, p_position, p_code_step, p_order_amount,
        p_category, true, campaign.now()
    ) AS j
    LEFT JOIN LATERAL (
        SELECT k.min_spend_fen, k.face_fen, k.category FROM campaign.voucher_kinds AS k
        WHERE k.city_id = p_city AND k.drop_id = j.drop_id AND k.kind_id = j.kind_id
        LIMIT 1
    ) AS k ON true
$$;
