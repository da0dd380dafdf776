-- The live claims of holders who were served before, without any lock. Row `place` answers the
-- place-th pair of p_hashes (subject hashes) and p_request_keys; a pair without a claim has no row.
CREATE OR REPLACE FUNCTION claim.find_claims(
    p_city smallint,
    p_drop uuid,
    p_key_version smallint,
    p_hashes bytea[],
    p_request_keys text[],
    OUT place bigint,
    OUT claim_id uuid,
    OUT serial integer,
    OUT claimed_at timestamptz
) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
    SELECT asked.place, c.claim_id, c.serial, c.claimed_at
    FROM unnest(p_hashes, p_request_keys) WITH ORDINALITY
        AS asked (identity_hash, request_key, place)
    -- The limits hold the planner to one look-up per pair: without them, it may join with everybody.
    CROSS JOIN LATERAL (
        SELECT i.person_id
        FROM claim.person_identities AS i
        WHERE i.city_id = p_city AND i.dimension = 'subject' AND i.key_version = p_key_version
            AND i.identity_hash = asked.identity_hash
        LIMIT 1
    ) AS i
    CROSS JOIN LATERAL (
        SELECT c.claim_id, c.serial, c.claimed_at
        FROM claim.claims AS c
        WHERE c.city_id = p_city AND c.person_id = i.person_id AND c.drop_id = p_drop
            AND c.state = 'live' AND c.request_key = asked.request_key
        LIMIT 1
    ) AS c
$$;

-- The first eight bytes of the subject hashes of everybody who was given one of the 200,000 serials
-- of this drop after p_after, joined end to end, sorted as unsigned numbers. A call is bounded: the
-- list of a million winners comes in pieces, none of which a time-out cuts off.
CREATE OR REPLACE FUNCTION claim.winner_keys(
    p_city smallint, p_drop uuid, p_key_version smallint, p_after integer
) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- In the middle of a drop the tables' statistics still say that they are empty; the nested loop
-- chosen for that would read every identity once for each claim.
SET enable_nestloop = off
AS $$
    SELECT coalesce(string_agg(holder.key, ''::bytea ORDER BY holder.key), ''::bytea)
    FROM (
        SELECT DISTINCT substring(i.identity_hash FOR 8) AS key
        FROM claim.claims AS c
        JOIN claim.person_identities AS i
            ON i.city_id = c.city_id AND i.person_id = c.person_id
            AND i.dimension = 'subject' AND i.key_version = p_key_version
        WHERE c.city_id = p_city AND c.drop_id = p_drop AND c.serial > p_after
            AND c.serial <= p_after + 200000
    ) AS holder
$$;
