-- What was booked stays booked: a correction is a new transfer. The triggers bind the owner too;
-- row triggers do not see TRUNCATE, so each table has a statement trigger for it.
CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation',
        HINT = 'Correct a booking with a new journal that reverses it.';
END
$$;

DO $$
DECLARE
    v_table regclass;
BEGIN
    FOREACH v_table IN ARRAY ARRAY[
        'ledger.accounts', 'ledger.journals', 'ledger.transfers',
        'campaign.fundings', 'campaign.drop_changes', 'claim.claim_releases'
    ]::regclass[]
    LOOP
        EXECUTE format(
            'CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s'
            ' FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change()', v_table
        );
        EXECUTE format(
            'CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON %s'
            ' FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', v_table
        );
    END LOOP;
    -- A claim is released, never removed; its serial is never used again.
    CREATE OR REPLACE TRIGGER append_only BEFORE DELETE ON claim.claims
        FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
    CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON claim.claims
        FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
END
$$;
