-- The persons behind subject hashes, minted where they are new: p_minted[n] is the id to use then.
-- Two processes that meet the same subject at once agree on one person: the unique key of the
-- identity decides, and rows are inserted in sorted order, so they cannot deadlock.
CREATE OR REPLACE FUNCTION claim.resolve_persons(
    p_city smallint,
    p_key_version smallint,
    p_hashes bytea[],
    p_minted uuid[]
) RETURNS uuid[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := campaign.now();
    v_persons uuid[];
BEGIN
    v_persons := claim.known_persons(p_city, p_key_version, p_hashes);
    IF array_position(v_persons, NULL) IS NULL THEN
        RETURN v_persons;
    END IF;

    -- One statement: its foreign key is checked at its end, so a person is written only for an
    -- identity that this call won. (Deleting a loser's person would search every claim for it.)
    WITH won AS (
        INSERT INTO claim.person_identities (
            city_id, dimension, key_version, identity_hash, person_id, created_at
        )
        SELECT p_city, 'subject', p_key_version, new.identity_hash, new.minted, v_now
        FROM unnest(p_hashes, p_minted, v_persons) AS new (identity_hash, minted, known)
        WHERE new.known IS NULL
        ORDER BY new.identity_hash
        ON CONFLICT DO NOTHING
        RETURNING person_id
    )
    INSERT INTO claim.persons (city_id, person_id, created_at)
    SELECT p_city, won.person_id, v_now FROM won;
    RETURN claim.known_persons(p_city, p_key_version, p_hashes);
END
$$;

-- The persons of subject hashes, in order, NULL for a hash that nobody has.
CREATE OR REPLACE FUNCTION claim.known_persons(
    p_city smallint, p_key_version smallint, p_hashes bytea[]
) RETURNS uuid[]
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    SELECT array_agg(found.person_id ORDER BY asked.place)
    FROM unnest(p_hashes) WITH ORDINALITY AS asked (identity_hash, place)
    LEFT JOIN LATERAL (
        SELECT i.person_id FROM claim.person_identities AS i
        WHERE i.city_id = p_city AND i.dimension = 'subject' AND i.key_version = p_key_version
            AND i.identity_hash = asked.identity_hash
        -- Holds the planner to one look-up per hash: without it, it may join with everybody's.
        LIMIT 1
    ) AS found ON true
$$;
