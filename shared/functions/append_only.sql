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
        'campaign.fundings', 'campaign.drop_changes', 'claim.claim_releases',
        'redeem.expiries', 'ledger.settlement_records', 'ledger.custody_moves',
        'ledger.statements', 'ledger.statement_lines', 'ledger.reconciliations', 'ledger.matches',
        'ledger.differences'
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
    -- These change, as a claim that is released does, and are never removed.
    FOREACH v_table IN ARRAY ARRAY[
        'claim.claims', 'redeem.vouchers', 'redeem.redemptions', 'redeem.requests',
        'redeem.instructions', 'ledger.payouts', 'ledger.payout_items', 'ledger.funder_returns',
        'ledger.breaks'
    ]::regclass[]
    LOOP
        EXECUTE format(
            'CREATE OR REPLACE TRIGGER append_only BEFORE DELETE ON %s'
            ' FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change()', v_table
        );
        EXECUTE format(
            'CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON %s'
            ' FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', v_table
        );
    END LOOP;
END
$$;
