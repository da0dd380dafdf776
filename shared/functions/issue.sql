-- Decide a batch of attempts on one drop, in one transaction. This function is what makes oversell
-- impossible, whatever the gate in front of it says.
--
-- p_claims[n] is the id that attempt n proposes (fixed before it is first sent, so a batch whose
-- reply was lost may be sent again), p_persons[n] who asks, p_request_keys[n] which of the person's
-- requests this is ('' where one claim is all the drop allows).
--
-- outcomes[n]: issued, replayed (served before: here is that claim), sold_out, limit_reached,
-- not_open, closed, paused, busy (ask again). For the first two claim_ids, serials, claimed_ats hold the claim.
-- The drop_* columns are the drop as it stands afterwards; drop_version is NULL when there is none.
CREATE OR REPLACE FUNCTION claim.issue(
    p_city smallint,
    p_drop uuid,
    p_claims uuid[],
    p_persons uuid[],
    p_request_keys text[],
    p_channels text[],
    OUT drop_version bigint,
    OUT drop_state text,
    OUT drop_opens_at timestamptz,
    OUT drop_closes_at timestamptz,
    OUT drop_quota integer,
    OUT drop_live integer,
    OUT drop_issued integer,
    OUT outcomes text[],
    OUT claim_ids uuid[],
    OUT serials integer[],
    OUT claimed_ats timestamptz[]
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- An empty table would be scanned, and that plan kept while a drop fills it.
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    d campaign.drops;
    v_now timestamptz;
    v_refusal text;
    v_free integer;
    v_issued integer;
BEGIN
    IF cardinality(p_claims) > 512 THEN
        RAISE EXCEPTION 'a batch holds at most 512 attempts, not %', cardinality(p_claims);
    END IF;

    SELECT * INTO d FROM campaign.drops
    WHERE city_id = p_city AND drop_id = p_drop
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    v_now := campaign.now();
    -- The gate opens the drop; a second of grace covers the way from there to here.
    v_refusal := CASE
        WHEN d.state = 'closed' THEN 'closed'
        WHEN d.state = 'paused' THEN 'paused'
        WHEN d.state = 'draft' THEN 'not_open'
        WHEN v_now < d.opens_at - interval '1 second' THEN 'not_open'
        WHEN v_now >= d.closes_at THEN 'closed'
    END;
    -- Where packs came back to a drop that had none left, a process may say "sold out" from memory
    -- for a second more. Until that is over nobody wins, so that no winner is told it.
    v_free := CASE
        WHEN v_now < d.restocked_at + interval '1.25 seconds' THEN 0 ELSE d.quota - d.live
    END;
    v_now := greatest(v_now, d.opens_at);
    -- The end of a cohort came while this batch waited for it: it would win what is over.
    IF v_refusal IS NULL AND v_free > 0 AND NOT claim.enter_cohorts(p_city, p_drop, v_now) THEN
        v_refusal := 'busy';
    END IF;

    WITH attempt AS MATERIALIZED (
        SELECT a.*, row_number() OVER (
            PARTITION BY a.person_id, a.request_key ORDER BY a.place
        ) AS copy
        FROM unnest(p_claims, p_persons, p_request_keys, p_channels) WITH ORDINALITY
            AS a (claim_id, person_id, request_key, channel, place)
    ),
    served AS MATERIALIZED (
        SELECT a.person_id, a.request_key, c.claim_id, c.serial, c.claimed_at
        FROM attempt AS a
        CROSS JOIN LATERAL (
            SELECT c.claim_id, c.serial, c.claimed_at
            FROM claim.claims AS c
            WHERE c.city_id = p_city AND c.person_id = a.person_id AND c.drop_id = p_drop
                AND c.state = 'live' AND c.request_key = a.request_key
            LIMIT 1
        ) AS c
        WHERE a.copy = 1
    ),
    -- nth counts a person's fresh requests within this batch.
    fresh AS MATERIALIZED (
        SELECT a.*, row_number() OVER (PARTITION BY a.person_id ORDER BY a.place) AS nth
        FROM attempt AS a
        LEFT JOIN served AS s USING (person_id, request_key)
        WHERE a.copy = 1 AND s.claim_id IS NULL
    ),
    -- The limit before the stock: numbering first would burn serials on people at their limit.
    allowed AS MATERIALIZED (
        SELECT f.*, free.ordinal, row_number() OVER (ORDER BY f.place) AS number
        FROM fresh AS f
        CROSS JOIN LATERAL (
            SELECT o.ordinal
            FROM claim.drop_ordinals AS o
            WHERE o.city_id = p_city AND o.drop_id = p_drop
                AND NOT EXISTS (
                    SELECT 1 FROM claim.claims AS c
                    WHERE c.city_id = p_city AND c.person_id = f.person_id
                        AND c.drop_id = p_drop AND c.state = 'live' AND c.ordinal = o.ordinal
                )
            ORDER BY o.ordinal
            OFFSET f.nth - 1 + CASE WHEN d.reclaim_after_release THEN 0 ELSE (
                SELECT count(*) FROM claim.claims AS c
                WHERE c.city_id = p_city AND c.person_id = f.person_id
                    AND c.drop_id = p_drop AND c.state = 'released'
            ) END
            LIMIT 1
        ) AS free
        WHERE v_refusal IS NULL
    ),
    inserted AS (
        INSERT INTO claim.claims (
            city_id, claim_id, drop_id, person_id, ordinal, serial, version, claimed_at, state,
            request_key, channel
        )
        SELECT
            p_city, w.claim_id, p_drop, w.person_id, w.ordinal, d.issued + w.number,
            d.version + 1, v_now, 'live', w.request_key, w.channel
        FROM allowed AS w
        WHERE w.number <= v_free
        RETURNING person_id, request_key, claim_id, serial
    )
    SELECT
        array_agg(CASE
            WHEN s.claim_id IS NOT NULL THEN 'replayed'
            WHEN i.claim_id IS NOT NULL AND a.copy = 1 THEN 'issued'
            WHEN i.claim_id IS NOT NULL THEN 'replayed'
            WHEN v_refusal IS NOT NULL THEN v_refusal
            WHEN w.claim_id IS NULL THEN 'limit_reached'
            WHEN v_free < d.quota - d.live THEN 'busy'
            ELSE 'sold_out'
        END ORDER BY a.place),
        array_agg(coalesce(s.claim_id, i.claim_id) ORDER BY a.place),
        array_agg(coalesce(s.serial, i.serial) ORDER BY a.place),
        array_agg(CASE WHEN i.claim_id IS NULL THEN s.claimed_at ELSE v_now END ORDER BY a.place),
        count(i.claim_id) FILTER (WHERE a.copy = 1)
    INTO outcomes, claim_ids, serials, claimed_ats, v_issued
    FROM attempt AS a
    LEFT JOIN served AS s USING (person_id, request_key)
    LEFT JOIN inserted AS i USING (person_id, request_key)
    LEFT JOIN allowed AS w USING (person_id, request_key);

    IF v_issued > 0 THEN
        PERFORM claim.open_cohorts(d, v_now);
        PERFORM claim.post_claims(d, d.version + 1, v_issued, v_now);
        UPDATE campaign.drops SET
            issued = issued + v_issued,
            live = live + v_issued,
            version = version + 1,
            cohort_day = ledger.accounting_date(v_now)
        WHERE city_id = p_city AND drop_id = p_drop
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

-- Make the expiry cohorts of a claim day, once a day and drop.
CREATE OR REPLACE FUNCTION claim.open_cohorts(p_drop campaign.drops, p_at timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_drop.cohort_day IS NOT DISTINCT FROM ledger.accounting_date(p_at) THEN
        RETURN;
    END IF;
    INSERT INTO claim.expiry_cohorts (city_id, drop_id, kind_id, valid_until, opened_at)
    SELECT k.city_id, k.drop_id, k.kind_id,
        claim.valid_until(p_at, k.valid_days, k.valid_until), p_at
    FROM campaign.voucher_kinds AS k
    WHERE k.city_id = p_drop.city_id AND k.drop_id = p_drop.drop_id
    ON CONFLICT DO NOTHING;
END
$$;

-- J6, one journal per batch: reserved -> outstanding, per funder. The batch's version names it.
CREATE OR REPLACE FUNCTION claim.post_claims(
    p_drop campaign.drops, p_version bigint, p_packs integer, p_at timestamptz
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_reserved text[];
    v_outstanding text[];
    v_amounts bigint[];
BEGIN
    SELECT
        array_agg(format('reserved:%s:%s', s.funder_id, p_drop.drop_id)),
        array_agg(format('outstanding:%s:%s', s.funder_id, p_drop.drop_id)),
        array_agg(s.share_fen * p_packs)
    INTO v_reserved, v_outstanding, v_amounts
    FROM campaign.pack_shares(p_drop.city_id, p_drop.drop_id) AS s;
    PERFORM ledger.post(
        p_drop.city_id, p_drop.programme_id, 'J6', format('%s:%s', p_drop.drop_id, p_version),
        p_drop.drop_id, 'claim', p_at, v_reserved, v_outstanding, v_amounts
    );
END
$$;
