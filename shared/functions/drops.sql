-- Every change of a drop is one call and one transaction under the lock of the drop's row: no lock
-- is held between round trips, so a stopped client cannot hang a drop.

-- What a whole pack costs each funder.
CREATE OR REPLACE FUNCTION campaign.pack_shares(
    p_city smallint, p_drop uuid, OUT funder_id text, OUT share_fen bigint
) RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    SELECT s.funder_id, sum(k.count * s.amount_fen)::bigint
    FROM campaign.voucher_kinds AS k
    JOIN campaign.kind_shares AS s USING (city_id, drop_id, kind_id)
    WHERE k.city_id = p_city AND k.drop_id = p_drop
    GROUP BY s.funder_id
    HAVING sum(k.count * s.amount_fen) > 0
    ORDER BY s.funder_id
$$;

-- What the drops of a programme that absorb the merchants' own share still commit of its pledge; nothing
-- of any other funder's.
CREATE OR REPLACE FUNCTION campaign.committed_pledge(
    p_city smallint, p_programme uuid, p_funder text
) RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    SELECT ledger.credit_balances(p_city, p_programme, array_agg(
        format('%s:%s:%s', part.family, p_funder, d.drop_id)
    ))
    FROM campaign.drops AS d
    CROSS JOIN (VALUES ('reserved'), ('outstanding'), ('held')) AS part (family)
    WHERE d.city_id = p_city AND d.programme_id = p_programme AND d.absorbs AND EXISTS (
        SELECT 1 FROM campaign.funders AS f
        WHERE f.city_id = p_city AND f.programme_id = p_programme AND f.funder_id = p_funder
            AND f.kind = 'merchant_pool' AND f.mode = 'pledge'
    )
$$;

-- The balances of hot accounts on the credit side together, summed from their transfers.
CREATE OR REPLACE FUNCTION ledger.credit_balances(
    p_city smallint, p_programme uuid, p_codes text[]
) RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    SELECT coalesce(sum(credited.amount_fen - debited.amount_fen), 0)::bigint
    FROM unnest(p_codes) AS asked (code)
    CROSS JOIN LATERAL (
        SELECT a.account_id FROM ledger.accounts AS a
        WHERE a.city_id = p_city AND a.programme_id = p_programme AND a.code = asked.code
        LIMIT 1
    ) AS a
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.amount_fen), 0) AS amount_fen FROM ledger.transfers AS t
        WHERE t.city_id = p_city AND t.programme_id = p_programme
            AND t.credit_account_id = a.account_id
    ) AS credited
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.amount_fen), 0) AS amount_fen FROM ledger.transfers AS t
        WHERE t.city_id = p_city AND t.programme_id = p_programme
            AND t.debit_account_id = a.account_id
    ) AS debited
$$;

-- Whether the merchants' own share of a drop is taken off what they are paid (J11): it is promised,
-- and so much of the promise is not yet committed to other drops.
CREATE OR REPLACE FUNCTION campaign.absorbs(p_drop campaign.drops) RETURNS boolean
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(bool_and(
        ledger.guarded_balance(p_drop.city_id, p_drop.programme_id, 'pledge:' || f.funder_id)
        - campaign.committed_pledge(p_drop.city_id, p_drop.programme_id, f.funder_id)
        >= s.share_fen * p_drop.quota
    ), false)
    FROM campaign.pack_shares(p_drop.city_id, p_drop.drop_id) AS s
    JOIN campaign.funders AS f
        ON f.city_id = p_drop.city_id AND f.programme_id = p_drop.programme_id
        AND f.funder_id = s.funder_id
    WHERE f.kind = 'merchant_pool' AND f.mode = 'pledge'
$$;

-- What merchants are paid in cash when a whole pack of a drop is redeemed.
CREATE OR REPLACE FUNCTION campaign.pack_cash(p_drop campaign.drops) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(sum(s.share_fen), 0)::bigint
    FROM campaign.pack_shares(p_drop.city_id, p_drop.drop_id) AS s
    JOIN campaign.funders AS f
        ON f.city_id = p_drop.city_id AND f.programme_id = p_drop.programme_id
        AND f.funder_id = s.funder_id
    WHERE NOT (p_drop.absorbs AND f.kind = 'merchant_pool' AND f.mode = 'pledge')
$$;

-- Move cash between the bank account and the custody wallet (J32): what an e-CNY drop pays merchants
-- lies in the wallet from its publishing on. p_amount > 0 goes to the wallet, < 0 back.
CREATE OR REPLACE FUNCTION ledger.move_custody(
    p_drop campaign.drops, p_amount bigint, p_actor text, p_at timestamptz
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_move uuid := ledger.new_id(p_drop.city_id);
    v_to_wallet boolean := p_amount > 0;
BEGIN
    IF p_amount = 0 THEN
        RETURN;
    END IF;
    INSERT INTO ledger.custody_moves (
        city_id, move_id, programme_id, drop_id, amount_fen, direction, actor, moved_at
    ) VALUES (
        p_drop.city_id, v_move, p_drop.programme_id, p_drop.drop_id, abs(p_amount),
        CASE WHEN v_to_wallet THEN 'to_wallet' ELSE 'to_bank' END, p_actor, p_at
    );
    PERFORM ledger.post(
        p_drop.city_id, p_drop.programme_id, 'J32', v_move::text, p_drop.drop_id, p_actor, p_at,
        ARRAY[CASE WHEN v_to_wallet THEN 'wallet:main' ELSE 'bank:main' END],
        ARRAY[CASE WHEN v_to_wallet THEN 'bank:main' ELSE 'wallet:main' END],
        ARRAY[abs(p_amount)]
    );
END
$$;

-- Before revision 0002 no cash lay in custody: move there what e-CNY drops that were published then
-- may have to pay. Part of every migration; a drop whose cash was moved once is left alone.
CREATE OR REPLACE FUNCTION ledger.fill_custody() RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    d campaign.drops;
BEGIN
    FOR d IN
        SELECT * FROM campaign.drops AS p
        WHERE p.rail = 'ecny' AND p.published_at IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM ledger.custody_moves AS m
            WHERE m.city_id = p.city_id AND m.drop_id = p.drop_id
        )
        FOR NO KEY UPDATE
    LOOP
        PERFORM campaign.lock_money(d.city_id, d.programme_id);
        IF NOT d.absorbs THEN
            d.absorbs := campaign.absorbs(d);
            UPDATE campaign.drops SET absorbs = d.absorbs
            WHERE city_id = d.city_id AND drop_id = d.drop_id AND d.absorbs;
        END IF;
        PERFORM ledger.move_custody(
            d,
            campaign.pack_cash(d) * CASE d.state WHEN 'closed' THEN d.live ELSE d.quota END,
            'migration', campaign.now()
        );
    END LOOP;
END
$$;

-- Move packs between the funders' available money and the drop: J4 when p_packs > 0, J5 when < 0.
-- Returns the first funder whose money does not suffice, else NULL. On the e-CNY rail only cash
-- counts (payment is settlement), the merchants' own share aside; the cash moves to the custody
-- wallet and back with the packs (J32).
CREATE OR REPLACE FUNCTION campaign.reserve_packs(
    p_drop campaign.drops, p_packs integer, p_version bigint, p_actor text, p_at timestamptz
) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_share record;
    v_free bigint;
    v_available text[] := '{}';
    v_reserved text[] := '{}';
    v_amounts bigint[] := '{}';
    v_pledge bigint;
    v_cash bigint := 0;
BEGIN
    IF p_packs = 0 THEN
        RETURN NULL;
    END IF;
    FOR v_share IN
        SELECT s.funder_id, s.share_fen,
            p_drop.absorbs AND f.kind = 'merchant_pool' AND f.mode = 'pledge' AS is_absorbed
        FROM campaign.pack_shares(p_drop.city_id, p_drop.drop_id) AS s
        JOIN campaign.funders AS f
            ON f.city_id = p_drop.city_id AND f.programme_id = p_drop.programme_id
            AND f.funder_id = s.funder_id
        ORDER BY s.funder_id
    LOOP
        IF p_packs > 0 THEN
            v_free := ledger.guarded_balance(
                p_drop.city_id, p_drop.programme_id, 'available:' || v_share.funder_id
            );
            v_pledge := ledger.guarded_balance(
                p_drop.city_id, p_drop.programme_id, 'pledge:' || v_share.funder_id
            );
            IF v_share.is_absorbed THEN
                v_free := least(v_free, v_pledge - campaign.committed_pledge(
                    p_drop.city_id, p_drop.programme_id, v_share.funder_id
                ));
            ELSIF p_drop.rail = 'ecny' THEN
                v_free := v_free - v_pledge;
            END IF;
            IF v_free < v_share.share_fen * p_packs THEN
                RETURN v_share.funder_id;
            END IF;
        END IF;
        v_available := v_available || ('available:' || v_share.funder_id);
        v_reserved := v_reserved || format('reserved:%s:%s', v_share.funder_id, p_drop.drop_id);
        v_amounts := v_amounts || v_share.share_fen * abs(p_packs);
        IF p_drop.rail = 'ecny' AND NOT v_share.is_absorbed THEN
            v_cash := v_cash + v_share.share_fen * p_packs;
            IF v_cash > 0 AND v_cash > ledger.spendable(
                p_drop.city_id, p_drop.programme_id, 'bank:main'
            ) THEN
                RETURN v_share.funder_id;
            END IF;
        END IF;
    END LOOP;
    PERFORM ledger.post(
        p_drop.city_id, p_drop.programme_id,
        CASE WHEN p_packs > 0 THEN 'J4' ELSE 'J5' END,
        format('%s:%s', p_drop.drop_id, p_version),
        p_drop.drop_id, p_actor, p_at,
        CASE WHEN p_packs > 0 THEN v_available ELSE v_reserved END,
        CASE WHEN p_packs > 0 THEN v_reserved ELSE v_available END,
        v_amounts
    );
    PERFORM ledger.move_custody(p_drop, v_cash, p_actor, p_at);
    RETURN NULL;
END
$$;

-- Lock every balance on which the money of a programme's drops depends, in one call and sorted.
CREATE OR REPLACE FUNCTION campaign.lock_money(p_city smallint, p_programme uuid) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ledger.lock_balances(
        p_city, p_programme, array_agg(codes.code) || '{bank:main,wallet:main}'::text[]
    )
    FROM campaign.funders AS f
    CROSS JOIN LATERAL (
        VALUES ('available:' || f.funder_id), ('pledge:' || f.funder_id)
    ) AS codes (code)
    WHERE f.city_id = p_city AND f.programme_id = p_programme
$$;

-- publish, pause, resume, close, or quota (with p_quota). After it returned, no claim commits that
-- the new state forbids.
-- outcome: 'done', 'unchanged' (it was so already), 'not_found', 'wrong_state',
-- 'insufficient_funds' (short_funder says whose), 'below_live_claims'.
CREATE OR REPLACE FUNCTION campaign.change_drop(
    p_city smallint,
    p_drop uuid,
    p_change text,
    p_quota integer,
    p_actor text,
    OUT outcome text,
    OUT short_funder text,
    OUT drop_version bigint,
    OUT drop_state text,
    OUT drop_opens_at timestamptz,
    OUT drop_closes_at timestamptz,
    OUT drop_quota integer,
    OUT drop_live integer,
    OUT drop_issued integer
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    d campaign.drops;
    v_now timestamptz;
    v_target text;
    v_packs integer := 0;
BEGIN
    SELECT * INTO d FROM campaign.drops
    WHERE city_id = p_city AND drop_id = p_drop
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        outcome := 'not_found';
        RETURN;
    END IF;
    v_now := campaign.now();

    v_target := CASE p_change
        WHEN 'publish' THEN 'live' WHEN 'resume' THEN 'live'
        WHEN 'pause' THEN 'paused' WHEN 'close' THEN 'closed'
        WHEN 'quota' THEN d.state
    END;
    outcome := CASE
        WHEN v_target IS NULL THEN 'wrong_state'
        WHEN p_change = 'quota' AND d.state NOT IN ('live', 'paused') THEN 'wrong_state'
        WHEN p_change = 'quota' AND p_quota < d.live THEN 'below_live_claims'
        WHEN p_change = 'quota' AND p_quota = d.quota THEN 'unchanged'
        WHEN p_change = 'quota' THEN 'done'
        WHEN d.state = v_target AND d.state <> 'draft' THEN 'unchanged'
        WHEN p_change = 'publish' AND d.state <> 'draft' THEN 'wrong_state'
        WHEN p_change = 'publish' AND d.closes_at <= v_now THEN 'wrong_state'
        WHEN p_change = 'pause' AND d.state <> 'live' THEN 'wrong_state'
        WHEN p_change = 'resume' AND d.state <> 'paused' THEN 'wrong_state'
        ELSE 'done'
    END;

    IF outcome = 'done' AND p_change = 'publish' AND d.pack_face_fen IS DISTINCT FROM (
        SELECT sum(s.share_fen) FROM campaign.pack_shares(p_city, p_drop) AS s
    ) THEN
        RAISE EXCEPTION 'what the funders pay of drop % does not make up its pack', p_drop;
    END IF;

    IF outcome = 'done' THEN
        v_packs := CASE
            WHEN p_change = 'publish' THEN d.quota
            WHEN p_change = 'quota' THEN p_quota - d.quota
            WHEN p_change = 'close' AND d.state <> 'draft' THEN d.live - d.quota
            ELSE 0
        END;
        PERFORM campaign.lock_money(p_city, d.programme_id);
        IF p_change = 'publish' THEN
            d.absorbs := campaign.absorbs(d);
        END IF;
        short_funder := campaign.reserve_packs(d, v_packs, d.version + 1, p_actor, v_now);
        IF short_funder IS NOT NULL THEN
            outcome := 'insufficient_funds';
        END IF;
    END IF;

    IF outcome = 'done' THEN
        UPDATE campaign.drops SET
            state = v_target,
            version = version + 1,
            absorbs = d.absorbs,
            quota = CASE WHEN p_change = 'quota' THEN p_quota ELSE quota END,
            restocked_at = CASE
                WHEN p_change = 'quota' AND live = quota THEN v_now ELSE restocked_at
            END,
            published_at = CASE WHEN p_change = 'publish' THEN v_now ELSE published_at END
        WHERE city_id = p_city AND drop_id = p_drop
        RETURNING * INTO d;
        INSERT INTO campaign.drop_changes (
            city_id, drop_id, version, kind, packs_reserved, quota_after, actor, changed_at
        ) VALUES (p_city, p_drop, d.version, p_change, v_packs, d.quota, p_actor, v_now);
        IF p_change = 'publish' THEN
            INSERT INTO claim.drop_ordinals (city_id, drop_id, ordinal)
            SELECT p_city, p_drop, generate_series(1, d.limit_per_holder);
        END IF;
    END IF;

    drop_version := d.version;
    drop_state := d.state;
    drop_opens_at := d.opens_at;
    drop_closes_at := d.closes_at;
    drop_quota := d.quota;
    drop_live := d.live;
    drop_issued := d.issued;
END
$$;
