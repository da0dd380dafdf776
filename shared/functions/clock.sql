-- The time of every decision: the server's clock plus the deployment's offset (shared/clock.py).
CREATE OR REPLACE FUNCTION campaign.now() RETURNS timestamptz
LANGUAGE sql VOLATILE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT clock_timestamp() + offset_us * interval '1 microsecond' FROM campaign.clock
$$;

-- The accounting day (会计日) of a moment.
CREATE OR REPLACE FUNCTION ledger.accounting_date(p_at timestamptz) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT (p_at AT TIME ZONE 'Asia/Shanghai')::date
$$;

-- The instant at which a voucher claimed at p_at ends: the claim day counts, the last day ends at
-- 24:00 in the city.
CREATE OR REPLACE FUNCTION claim.valid_until(p_at timestamptz, p_days integer, p_fixed timestamptz)
RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(
        p_fixed,
        ((p_at AT TIME ZONE 'Asia/Shanghai')::date + p_days)::timestamp AT TIME ZONE 'Asia/Shanghai'
    )
$$;

-- Move the development clock forward and return its offset in microseconds.
CREATE OR REPLACE FUNCTION campaign.advance_clock(p_by_us bigint) RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE campaign.clock SET offset_us = offset_us + p_by_us RETURNING offset_us
$$;
