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

-- Move packs between the funders' available money and the drop: J4 when p_packs > 0, J5 when < 0.
-- Returns the first funder whose money does not suffice, else NULL. On the e-CNY rail only cash
-- counts (payment is settlement), the merchants' own share aside.
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
BEGIN
    IF p_packs = 0 THEN
        RETURN NULL;
    END IF;
    PERFORM ledger.lock_balances(p_drop.city_id, p_drop.programme_id, array_agg(codes.code))
    FROM campaign.funders AS f
    CROSS JOIN LATERAL (
        VALUES ('available:' || f.funder_id), ('pledge:' || f.funder_id)
    ) AS codes (code)
    WHERE f.city_id = p_drop.city_id AND f.programme_id = p_drop.programme_id;
    FOR v_share IN
        SELECT s.funder_id, s.share_fen, f.kind
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
            IF p_drop.rail = 'ecny' AND v_share.kind <> 'merchant_pool' THEN
                v_free := v_free - ledger.guarded_balance(
                    p_drop.city_id, p_drop.programme_id, 'pledge:' || v_share.funder_id
                );
            END IF;
            IF v_free < v_share.share_fen * p_packs THEN
                RETURN v_share.funder_id;
            END IF;
        END IF;
        v_available := v_available || ('available:' || v_share.funder_id);
        v_reserved := v_reserved || format('reserved:%s:%s', v_share.funder_id, p_drop.drop_id);
        v_amounts := v_amounts || v_share.share_fen * abs(p_packs);
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
    RETURN NULL;
END
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
        short_funder := campaign.reserve_packs(d, v_packs, d.version + 1, p_actor, v_now);
        IF short_funder IS NOT NULL THEN
            outcome := 'insufficient_funds';
        END IF;
    END IF;

    IF outcome = 'done' THEN
        UPDATE campaign.drops SET
            state = v_target,
            version = version + 1,
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
