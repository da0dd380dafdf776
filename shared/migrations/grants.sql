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
GRANT SELECT, INSERT ON campaign.merchants, campaign.enrolments, campaign.terminals
TO fairdrop_campaign;
-- Of a claim it sees which pack it is, never whose.
GRANT SELECT (city_id, claim_id, drop_id, serial, state) ON claim.claims TO fairdrop_campaign;
GRANT SELECT ON claim.claim_releases TO fairdrop_campaign;
GRANT INSERT ON campaign.programmes, campaign.funders, campaign.drops, campaign.voucher_kinds,
    campaign.kind_shares, campaign.idempotency_keys
TO fairdrop_campaign;
GRANT EXECUTE ON FUNCTION
    campaign.city_number(text),
    campaign.fund(smallint, uuid, uuid, text, bigint, text, text, text),
    campaign.change_drop(smallint, uuid, text, integer, text),
    campaign.till_lock(smallint),
    campaign.change_merchant(smallint, uuid, text, text),
    campaign.suspend_terminal(smallint, uuid, uuid, text),
    claim.release(smallint, uuid, boolean, text, text)
TO fairdrop_campaign;

-- claim: reads, decides through claim.issue, and logs arrivals.
GRANT SELECT ON campaign.drops, campaign.voucher_kinds, claim.persons, claim.person_identities,
    claim.claims, redeem.vouchers
TO fairdrop_claim;
GRANT INSERT ON claim.attempts TO fairdrop_claim;
GRANT EXECUTE ON FUNCTION
    claim.issue(smallint, uuid, uuid[], uuid[], text[], text[]),
    claim.find_claims(smallint, uuid, smallint, bytea[], text[]),
    claim.winner_keys(smallint, uuid, smallint, integer),
    claim.resolve_persons(smallint, smallint, bytea[], uuid[]),
    claim.valid_until(timestamptz, integer, timestamptz)
TO fairdrop_claim;

-- redeem: knows its terminals, reads back what it decided, and decides through functions.
GRANT SELECT ON campaign.terminals, redeem.redemptions, redeem.requests
TO fairdrop_redeem;
GRANT EXECUTE ON FUNCTION
    redeem.decide(
        smallint, uuid[], uuid[], text[], bytea[], uuid[], smallint[], bigint[], text[], bigint[],
        text[], boolean[]
    ),
    redeem.quote(smallint, uuid, uuid, smallint, bigint, bigint, text),
    redeem.finish_hold(smallint, uuid, text, bytea, uuid, text),
    redeem.reverse(smallint, uuid, text, bytea, text),
    redeem.overdue_holds(integer),
    redeem.time_out(smallint, uuid),
    redeem.due_cohorts(integer),
    redeem.expire_cohort(smallint, uuid, text, timestamptz),
    redeem.take_instructions(integer, smallint, uuid),
    redeem.finish_instruction(smallint, uuid, text, text, timestamptz, text)
TO fairdrop_redeem;

-- ledger: reads, city by city, and settles and reconciles through functions. auditor: reads everything.
GRANT SELECT ON ALL TABLES IN SCHEMA campaign, claim, redeem, ledger
TO fairdrop_ledger, fairdrop_auditor;
REVOKE SELECT ON claim.person_identities, campaign.idempotency_keys
FROM fairdrop_ledger, fairdrop_auditor;
GRANT SELECT ON campaign.idempotency_keys TO fairdrop_ledger;
GRANT EXECUTE ON FUNCTION
    claim.valid_until(timestamptz, integer, timestamptz),
    ledger.accounting_date(timestamptz),
    campaign.pack_shares(smallint, uuid)
TO fairdrop_ledger, fairdrop_auditor;

GRANT EXECUTE ON FUNCTION
    ledger.cash_movements(smallint, uuid, text),
    redeem.expiry_event(uuid, text, timestamptz)
TO fairdrop_ledger, fairdrop_auditor;
GRANT EXECUTE ON FUNCTION
    ledger.cut_batch(smallint, uuid, date, uuid, text),
    ledger.decide_batch(smallint, uuid, text, text),
    ledger.finish_payout(smallint, uuid, text, text, text, text),
    ledger.take_payouts(integer),
    ledger.propose_return(smallint, uuid, text, boolean, uuid, text),
    ledger.decide_return(smallint, uuid, text, text),
    ledger.keep_statement(
        smallint, uuid, uuid, text, text, date, bytea, jsonb, integer[], text[], bigint[], text[],
        text[], timestamptz[], text[], text[], text
    ),
    ledger.reconcile(smallint, uuid, uuid, text),
    ledger.propose_break(smallint, uuid, text, text, text),
    ledger.reject_break(smallint, uuid),
    ledger.approve_break(smallint, uuid, text)
TO fairdrop_ledger;
GRANT INSERT ON campaign.idempotency_keys TO fairdrop_ledger;

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
            ' TO fairdrop_campaign, fairdrop_ledger WITH CHECK (%s)',
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
WITH CHECK (state = 'draft' AND version = 0 AND issued = 0 AND live = 0 AND NOT absorbs);

-- A merchant begins unapproved: nobody enrols one without a second person.
DROP POLICY IF EXISTS merchants_begin_pending ON campaign.merchants;
CREATE POLICY merchants_begin_pending ON campaign.merchants AS RESTRICTIVE FOR INSERT
TO fairdrop_campaign
WITH CHECK (state = 'pending' AND approved_by IS NULL AND suspended_at IS NULL);

-- In which programmes a merchant takes part is approved with it.
DROP POLICY IF EXISTS enrolments_precede_approval ON campaign.enrolments;
CREATE POLICY enrolments_precede_approval ON campaign.enrolments AS RESTRICTIVE FOR INSERT
TO fairdrop_campaign
WITH CHECK (EXISTS (
    SELECT 1 FROM campaign.merchants AS m
    WHERE m.city_id = enrolments.city_id AND m.merchant_id = enrolments.merchant_id
        AND m.state = 'pending'
));

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
ALTER ROLE fairdrop_redeem SET lock_timeout = '1500ms';
ALTER ROLE fairdrop_redeem SET statement_timeout = '5s';
ALTER ROLE fairdrop_campaign SET lock_timeout = '3s';
ALTER ROLE fairdrop_campaign SET statement_timeout = '10s';
ALTER ROLE fairdrop_campaign SET idle_in_transaction_session_timeout = '5s';
ALTER ROLE fairdrop_ledger SET lock_timeout = '10s';
ALTER ROLE fairdrop_ledger SET statement_timeout = '60s';
ALTER ROLE fairdrop_ledger SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE fairdrop_auditor SET statement_timeout = '10min';
