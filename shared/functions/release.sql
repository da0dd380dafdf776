-- Give a claim back. It leaves the live uniqueness and its serial is never used again.
-- p_reopen: the pack goes back on sale (J7a, outstanding -> reserved); otherwise it is withdrawn,
-- its money returns to available (J7b) and the quota shrinks by one. A closed drop takes nothing
-- back: its packs are always withdrawn.
-- Nothing is given back of which a voucher is held or redeemed ('in_use'), or has expired.
-- outcome: 'released', 'not_found', 'released_before', 'in_use', 'expired'.
CREATE OR REPLACE FUNCTION claim.release(
    p_city smallint,
    p_claim uuid,
    p_reopen boolean,
    p_reason text,
    p_actor text,
    OUT outcome text,
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
    c claim.claims;
    v_now timestamptz;
    v_kind text;
    v_outstanding text[];
    v_credits text[];
    v_amounts bigint[];
BEGIN
    -- Lock order everywhere: the drop, then its claims.
    SELECT drops.* INTO d
    FROM claim.claims
    JOIN campaign.drops USING (city_id, drop_id)
    WHERE claims.city_id = p_city AND claims.claim_id = p_claim
    FOR NO KEY UPDATE OF drops;
    SELECT * INTO c FROM claim.claims
    WHERE city_id = p_city AND claim_id = p_claim
    FOR NO KEY UPDATE;
    v_now := campaign.now();
    PERFORM claim.share_cohorts(p_city, ARRAY[p_claim], v_now);
    v_now := greatest(v_now, campaign.now());
    outcome := CASE
        WHEN d.drop_id IS NULL OR c.claim_id IS NULL THEN 'not_found'
        WHEN c.state <> 'live' THEN 'released_before'
        WHEN EXISTS (
            SELECT 1 FROM redeem.vouchers AS v
            WHERE v.city_id = p_city AND v.claim_id = p_claim AND v.state IN ('held', 'redeemed')
        ) THEN 'in_use'
        WHEN EXISTS (
            SELECT 1
            FROM claim.cohorts_of(p_city, ARRAY[p_claim]) AS k
            LEFT JOIN redeem.expiries AS e
                ON e.city_id = p_city AND e.drop_id = k.drop_id AND e.kind_id = k.kind_id
                AND e.valid_until = k.valid_until
            WHERE v_now >= k.valid_until OR e.expired_at IS NOT NULL
        ) THEN 'expired'
        ELSE 'released'
    END;

    IF outcome = 'released' THEN
        v_kind := CASE WHEN p_reopen AND d.state <> 'closed' THEN 'J7a' ELSE 'J7b' END;
        UPDATE claim.claims SET
            state = 'released', released_at = v_now, released_version = d.version + 1
        WHERE city_id = p_city AND claim_id = p_claim;
        UPDATE redeem.vouchers SET state = 'void', remaining_fen = 0
        WHERE city_id = p_city AND claim_id = p_claim AND state = 'open';
        INSERT INTO claim.claim_releases (
            city_id, claim_id, drop_id, version, journal_kind, reason, actor, released_at
        ) VALUES (p_city, p_claim, d.drop_id, d.version + 1, v_kind, p_reason, p_actor, v_now);
        IF v_kind = 'J7b' THEN
            PERFORM campaign.lock_money(p_city, d.programme_id);
        END IF;
        SELECT
            array_agg(format('outstanding:%s:%s', s.funder_id, d.drop_id)),
            array_agg(CASE v_kind
                WHEN 'J7a' THEN format('reserved:%s:%s', s.funder_id, d.drop_id)
                ELSE 'available:' || s.funder_id
            END),
            array_agg(s.share_fen)
        INTO v_outstanding, v_credits, v_amounts
        FROM campaign.pack_shares(p_city, d.drop_id) AS s;
        PERFORM ledger.post(
            p_city, d.programme_id, v_kind, p_claim::text, d.drop_id, p_actor, v_now,
            v_outstanding, v_credits, v_amounts
        );
        IF v_kind = 'J7b' AND d.rail = 'ecny' THEN
            PERFORM ledger.move_custody(d, -campaign.pack_cash(d), p_actor, v_now);
        END IF;
        UPDATE campaign.drops SET
            live = live - 1,
            quota = quota - CASE v_kind WHEN 'J7a' THEN 0 ELSE 1 END,
            restocked_at = CASE WHEN live = quota THEN v_now ELSE restocked_at END,
            version = version + 1
        WHERE city_id = p_city AND drop_id = d.drop_id
        RETURNING * INTO d;
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
