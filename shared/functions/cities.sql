-- The number of a city code, given on first use. One at a time, so that numbers are not wasted:
-- the public ids have room for 4,095 cities.
CREATE OR REPLACE FUNCTION campaign.city_number(p_code text) RETURNS smallint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_city smallint;
BEGIN
    SELECT city_id INTO v_city FROM campaign.cities WHERE city_code = p_code;
    IF v_city IS NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('campaign.city_number', 0));
        INSERT INTO campaign.cities (city_id, city_code, created_at)
        SELECT coalesce(max(city_id), 0) + 1, p_code, campaign.now() FROM campaign.cities
        ON CONFLICT (city_code) DO NOTHING;
        SELECT city_id INTO v_city FROM campaign.cities WHERE city_code = p_code;
    END IF;
    RETURN v_city;
END
$$;

-- The cities that this session's staff member may see: `fairdrop.cities` is set per transaction, to
-- city numbers or to `*`. Unset means none; NULL means every city.
-- Policies ask it in a sub-select, once per statement: a call per row made the books of a large city
-- four to fifteen times slower to read.
CREATE OR REPLACE FUNCTION campaign.seen_cities() RETURNS smallint[]
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN coalesce(current_setting('fairdrop.cities', true), '') = '*' THEN NULL
        ELSE string_to_array(
            coalesce(current_setting('fairdrop.cities', true), ''), ','
        )::smallint[]
    END
$$;
