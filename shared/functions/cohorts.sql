-- Expiry cohorts: the vouchers of one kind of a drop that end at one instant.
-- Whoever makes a claim or voids it, or touches a voucher, takes its cohorts' locks shared; expiry takes
-- one alone. So an expiry counts exactly what is left, and nothing happens behind its back.
-- Whoever has waited for the lock asks for the time afterwards, and whether the cohort has expired.
CREATE OR REPLACE FUNCTION claim.cohort_lock(
    p_city smallint, p_drop uuid, p_kind text, p_valid_until timestamptz
) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT hashtextextended(
        format('claim.cohort:%s:%s:%s:%s', p_city, p_drop, p_kind, extract(epoch FROM p_valid_until)),
        0
    )
$$;

-- The cohorts of claims, one row per claim and kind.
CREATE OR REPLACE FUNCTION claim.cohorts_of(
    p_city smallint, p_claims uuid[],
    OUT claim_id uuid, OUT drop_id uuid, OUT kind_id text, OUT valid_until timestamptz
) RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    SELECT c.claim_id, c.drop_id, k.kind_id,
        claim.valid_until(c.claimed_at, k.valid_days, k.valid_until)
    FROM unnest(p_claims) AS asked (claim_id)
    CROSS JOIN LATERAL (
        SELECT c.claim_id, c.drop_id, c.claimed_at FROM claim.claims AS c
        WHERE c.city_id = p_city AND c.claim_id = asked.claim_id
        LIMIT 1
    ) AS c
    -- The offset keeps it a look-up per claim.
    CROSS JOIN LATERAL (
        SELECT k.kind_id, k.valid_days, k.valid_until FROM campaign.voucher_kinds AS k
        WHERE k.city_id = p_city AND k.drop_id = c.drop_id
        OFFSET 0
    ) AS k
$$;

-- Take the cohorts of claims shared, sorted. Callers hold the claims' rows.
-- Those that ended by p_at are left out: whoever refuses what is over need not wait for its expiry, which
-- may take seconds.
CREATE OR REPLACE FUNCTION claim.share_cohorts(
    p_city smallint, p_claims uuid[], p_at timestamptz DEFAULT '-infinity'
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_lock bigint;
BEGIN
    FOR v_lock IN
        SELECT DISTINCT claim.cohort_lock(p_city, k.drop_id, k.kind_id, k.valid_until) AS lock
        FROM claim.cohorts_of(p_city, p_claims) AS k
        WHERE k.valid_until > p_at
        ORDER BY lock
    LOOP
        PERFORM pg_advisory_xact_lock_shared(v_lock);
    END LOOP;
END
$$;

-- Take the cohorts of what a drop issues at p_at shared, sorted. The caller holds the drop's row.
-- False when one of them has expired already: the caller has waited for that, and must ask the time again.
CREATE OR REPLACE FUNCTION claim.enter_cohorts(p_city smallint, p_drop uuid, p_at timestamptz)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v_lock bigint;
BEGIN
    FOR v_lock IN
        SELECT claim.cohort_lock(
            p_city, p_drop, k.kind_id, claim.valid_until(p_at, k.valid_days, k.valid_until)
        ) AS lock
        FROM campaign.voucher_kinds AS k
        WHERE k.city_id = p_city AND k.drop_id = p_drop
        ORDER BY lock
    LOOP
        PERFORM pg_advisory_xact_lock_shared(v_lock);
    END LOOP;
    RETURN NOT EXISTS (
        SELECT 1
        FROM campaign.voucher_kinds AS k
        JOIN redeem.expiries AS e
            ON e.city_id = p_city AND e.drop_id = p_drop AND e.kind_id = k.kind_id
            AND e.valid_until = claim.valid_until(p_at, k.valid_days, k.valid_until)
        WHERE k.city_id = p_city AND k.drop_id = p_drop
    );
END
$$;
