-- Statements: what a bank or an operator says about one account and day, kept as it came.

-- Who keeps a statement of an account, or compares one with the books, holds this lock.
CREATE OR REPLACE FUNCTION ledger.account_lock(
    p_city smallint, p_programme uuid, p_account text
) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT hashtextextended(
        format('ledger.account:%s:%s:%s', p_city, p_programme, p_account), 0
    )
$$;

-- Keep a statement with its rows. The same bytes again are the statement that they were (is_new false);
-- other bytes for the same account and day are its next version, and supersede the one before.
-- Row n has line number p_line_nos[n] and so on; one in quarantine has a fault and is kept raw.
CREATE OR REPLACE FUNCTION ledger.keep_statement(
    p_city smallint,
    p_programme uuid,
    p_statement uuid,
    p_format text,
    p_account text,
    p_day date,
    p_content bytea,
    p_totals jsonb,
    p_line_nos integer[],
    p_directions text[],
    p_amounts bigint[],
    p_end_to_end_nos text[],
    p_channel_nos text[],
    p_happened_ats timestamptz[],
    p_raws text[],
    p_faults text[],
    p_actor text,
    OUT statement_id uuid,
    OUT is_new boolean
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(ledger.account_lock(p_city, p_programme, p_account));
    SELECT s.statement_id INTO statement_id FROM ledger.statements AS s
    WHERE s.city_id = p_city AND s.programme_id = p_programme AND s.sha256 = sha256(p_content);
    is_new := NOT FOUND;
    IF NOT is_new THEN
        RETURN;
    END IF;
    statement_id := p_statement;
    INSERT INTO ledger.statements (
        city_id, statement_id, programme_id, format, account, day, version, sha256, content, totals,
        lines, quarantined, uploaded_at, uploaded_by
    )
    SELECT p_city, p_statement, p_programme, p_format, p_account, p_day,
        1 + coalesce(max(s.version), 0), sha256(p_content), p_content, p_totals,
        cardinality(p_line_nos), (SELECT count(f) FROM unnest(p_faults) AS f), campaign.now(),
        p_actor
    FROM ledger.statements AS s
    WHERE s.city_id = p_city AND s.programme_id = p_programme AND s.account = p_account
        AND s.day = p_day;
    INSERT INTO ledger.statement_lines (
        city_id, statement_id, line_no, direction, amount_fen, end_to_end_no, channel_no,
        happened_at, raw, fault
    )
    SELECT p_city, p_statement, l.*
    FROM unnest(
        p_line_nos, p_directions, p_amounts, p_end_to_end_nos, p_channel_nos, p_happened_ats,
        p_raws, p_faults
    ) AS l;
END
$$;

-- The run that counts for each account and day: the last one, over whichever version it was.
CREATE OR REPLACE VIEW ledger.current_runs WITH (security_invoker = true) AS
SELECT DISTINCT ON (s.city_id, s.programme_id, s.account, s.day)
    s.city_id, s.programme_id, s.account, s.day, s.statement_id, r.reconciliation_id
FROM ledger.statements AS s
JOIN ledger.reconciliations AS r USING (city_id, statement_id)
ORDER BY s.city_id, s.programme_id, s.account, s.day, r.run_at DESC, r.reconciliation_id DESC;
