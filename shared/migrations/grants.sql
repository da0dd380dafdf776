-- Who may do what, applied whole at every migration. Each service has a login role with the least
-- it needs; what is decided, booked or counted is written by functions that run as the owner.
REVOKE ALL ON ALL TABLES IN SCHEMA campaign, claim, redeem, ledger FROM PUBLIC,
    fairdrop_campaign, fairdrop_claim, fairdrop_redeem, fairdrop_ledger, fairdrop_auditor;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA campaign, claim, redeem, ledger FROM PUBLIC,
    fairdrop_campaign, fairdrop_claim, fairdrop_redeem, fairdrop_ledger, fairdrop_auditor;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

GRANT USAGE ON SCHEMA campaign, claim, redeem, ledger
TO fairdrop_campaign, fairdrop_claim, fairdrop_redeem, fairdrop_ledger, fairdrop_auditor;
GRANT EXECUTE ON FUNCTION campaign.now(), campaign.seen_cities()
TO fairdrop_campaign, fairdrop_claim, fairdrop_redeem, fairdrop_ledger, fairdrop_auditor;
GRANT SELECT ON campaign.clock, campaign.cities
TO fairdrop_campaign, fairdrop_claim, fairdrop_redeem, fairdrop_ledger, fairdrop_auditor;

-- campaign: drafts are rows it writes; money and every change of a drop are functions.
GRANT SELECT ON campaign.programmes, campaign.funders, campaign.fundings, campaign.drops,
    campaign.drop_changes, campaign.voucher_kinds, campaign.kind_shares,
    campaign.idempotency_keys
TO fairdrop_campaign;
GRANT INSERT ON campaign.programmes, campaign.funders, campaign.drops, campaign.voucher_kinds,
    campaign.kind_shares, campaign.idempotency_keys
TO fairdrop_campaign;
GRANT EXECUTE ON FUNCTION
    campaign.city_number(text),
    campaign.fund(smallint, uuid, uuid, text, bigint, text, text, text),
    campaign.change_drop(smallint, uuid, text, integer, text),
    claim.release(smallint, uuid, boolean, text, text)
TO fairdrop_campaign;

-- claim: reads, decides through claim.issue, and logs arrivals.
GRANT SELECT ON campaign.drops, campaign.voucher_kinds, claim.persons, claim.person_identities,
    claim.claims
TO fairdrop_claim;
GRANT INSERT ON claim.attempts TO fairdrop_claim;
GRANT EXECUTE ON FUNCTION
    claim.issue(smallint, uuid, uuid[], uuid[], text[], text[]),
    claim.find_claims(smallint, uuid, smallint, bytea[], text[]),
    claim.winner_keys(smallint, uuid, smallint, integer),
    claim.resolve_persons(smallint, smallint, bytea[], uuid[]),
    claim.valid_until(timestamptz, integer, timestamptz)
TO fairdrop_claim;

-- ledger: reads, city by city. auditor: reads everything.
GRANT SELECT ON ALL TABLES IN SCHEMA campaign, claim, redeem, ledger
TO fairdrop_ledger, fairdrop_auditor;
REVOKE SELECT ON claim.person_identities, campaign.idempotency_keys
FROM fairdrop_ledger, fairdrop_auditor;
GRANT EXECUTE ON FUNCTION
    claim.valid_until(timestamptz, integer, timestamptz),
    ledger.accounting_date(timestamptz),
    campaign.pack_shares(smallint, uuid)
TO fairdrop_ledger, fairdrop_auditor;

-- Row-level security. Staff see the cities that their transaction names; the hot roles see every
-- row and are held by composite city keys; the auditor sees every city.
DO $$
DECLARE
    v_table record;
    v_seen text := '(SELECT campaign.seen_cities() IS NULL)'
        ' OR city_id = ANY ((SELECT campaign.seen_cities())::smallint[])';
BEGIN
    FOR v_table IN
        SELECT c.oid::regclass AS name
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'city_id'
        WHERE n.nspname IN ('campaign', 'claim', 'redeem', 'ledger') AND c.relkind = 'r'
            AND c.oid <> 'campaign.cities'::regclass
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', v_table.name);
        EXECUTE format('DROP POLICY IF EXISTS staff_see_their_cities ON %s', v_table.name);
        EXECUTE format('DROP POLICY IF EXISTS staff_write_in_their_cities ON %s', v_table.name);
        EXECUTE format('DROP POLICY IF EXISTS hot_roles_see_every_city ON %s', v_table.name);
        EXECUTE format('DROP POLICY IF EXISTS auditor_sees_every_city ON %s', v_table.name);
        EXECUTE format(
            'CREATE POLICY staff_see_their_cities ON %s FOR SELECT'
            ' TO fairdrop_campaign, fairdrop_ledger USING (%s)',
            v_table.name, v_seen
        );
        EXECUTE format(
            'CREATE POLICY staff_write_in_their_cities ON %s FOR INSERT'
            ' TO fairdrop_campaign WITH CHECK (%s)',
            v_table.name, v_seen
        );
        EXECUTE format(
            'CREATE POLICY hot_roles_see_every_city ON %s'
            ' TO fairdrop_claim, fairdrop_redeem USING (true) WITH CHECK (true)',
            v_table.name
        );
        EXECUTE format(
            'CREATE POLICY auditor_sees_every_city ON %s FOR SELECT'
            ' TO fairdrop_auditor USING (true)',
            v_table.name
        );
    END LOOP;
END
$$;

-- A drop is written as a draft, and its pack only while it is one: publishing freezes both.
DROP POLICY IF EXISTS drops_begin_as_drafts ON campaign.drops;
CREATE POLICY drops_begin_as_drafts ON campaign.drops AS RESTRICTIVE FOR INSERT
TO fairdrop_campaign
WITH CHECK (state = 'draft' AND version = 0 AND issued = 0 AND live = 0);

DROP POLICY IF EXISTS packs_are_frozen ON campaign.voucher_kinds;
CREATE POLICY packs_are_frozen ON campaign.voucher_kinds AS RESTRICTIVE FOR INSERT
TO fairdrop_campaign
WITH CHECK (EXISTS (
    SELECT 1 FROM campaign.drops AS d
    WHERE d.city_id = voucher_kinds.city_id AND d.drop_id = voucher_kinds.drop_id
        AND d.state = 'draft'
));

DROP POLICY IF EXISTS packs_are_frozen ON campaign.kind_shares;
CREATE POLICY packs_are_frozen ON campaign.kind_shares AS RESTRICTIVE FOR INSERT
TO fairdrop_campaign
WITH CHECK (EXISTS (
    SELECT 1 FROM campaign.drops AS d
    WHERE d.city_id = kind_shares.city_id AND d.drop_id = kind_shares.drop_id
        AND d.state = 'draft'
));

-- Bounds on every session, so that a stopped client cannot hold what others wait for.
ALTER ROLE fairdrop_claim SET lock_timeout = '1500ms';
ALTER ROLE fairdrop_claim SET statement_timeout = '5s';
ALTER ROLE fairdrop_campaign SET lock_timeout = '3s';
ALTER ROLE fairdrop_campaign SET statement_timeout = '10s';
ALTER ROLE fairdrop_campaign SET idle_in_transaction_session_timeout = '5s';
ALTER ROLE fairdrop_ledger SET statement_timeout = '60s';
ALTER ROLE fairdrop_ledger SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE fairdrop_auditor SET statement_timeout = '10min';
