-- Reconciliation: one run over one statement, and what follows from it for the breaks of its account.

-- Compare a statement with the books and keep the result as run p_run.
-- outcome: 'run', 'not_found', 'superseded' (the file was issued again), 'day_not_over' (the books may
-- still move on its day).
CREATE OR REPLACE FUNCTION ledger.reconcile(
    p_city smallint, p_statement uuid, p_run uuid, p_actor text
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s ledger.statements;
    v_earlier ledger.statements;
BEGIN
    SELECT * INTO s FROM ledger.statements WHERE city_id = p_city AND statement_id = p_statement;
    IF NOT FOUND THEN
        RETURN 'not_found';
    END IF;
    -- Megabytes that would be copied from function to function.
    s.content := NULL;
    IF s.day >= ledger.accounting_date(campaign.now()) THEN
        RETURN 'day_not_over';
    END IF;
    PERFORM pg_advisory_xact_lock(ledger.account_lock(p_city, s.programme_id, s.account));
    IF EXISTS (
        SELECT 1 FROM ledger.statements AS later
        WHERE later.city_id = p_city AND later.programme_id = s.programme_id
            AND later.account = s.account AND later.day = s.day AND later.version > s.version
    ) THEN
        RETURN 'superseded';
    END IF;
    FOR v_earlier IN SELECT * FROM ledger.booked_since(s) LOOP
        v_earlier.content := NULL;
        PERFORM ledger.run(v_earlier, ledger.new_id(p_city), p_actor);
    END LOOP;
    PERFORM ledger.run(s, p_run, p_actor);
    RETURN 'run';
END
$$;

-- The earlier statements of the account with a row that was missing in the books, and was booked since.
-- They are run again first, or the booking would be found missing on the statement of its own day.
CREATE OR REPLACE FUNCTION ledger.booked_since(p_statement ledger.statements)
RETURNS SETOF ledger.statements
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
AS $$
    WITH missing AS MATERIALIZED (
        SELECT l.*
        FROM ledger.breaks AS b
        JOIN ledger.statement_lines AS l USING (city_id, statement_id, line_no)
        WHERE b.city_id = p_statement.city_id AND b.programme_id = p_statement.programme_id
            AND b.account = p_statement.account AND b.type IN ('missing_in_ledger', 'duplicate')
            AND b.happened_on < p_statement.day AND b.cleared_at IS NULL
    ),
    moved AS MATERIALIZED (
        SELECT m.*
        FROM ledger.cash_movements(
            p_statement.city_id, p_statement.programme_id, p_statement.account
        ) AS m
        WHERE EXISTS (SELECT 1 FROM missing)
    )
    SELECT s.*
    FROM ledger.statements AS s
    WHERE s.city_id = p_statement.city_id AND s.statement_id IN (
        SELECT l.statement_id
        FROM missing AS l
        JOIN moved AS m USING (direction, amount_fen)
        WHERE (m.end_to_end_no = l.end_to_end_no OR m.channel_no = l.channel_no)
            AND NOT EXISTS (
                SELECT 1
                FROM ledger.current_runs AS r
                JOIN ledger.matches AS t USING (city_id, reconciliation_id)
                WHERE r.city_id = p_statement.city_id AND r.programme_id = p_statement.programme_id
                    AND r.account = p_statement.account AND t.journal_id = m.journal_id
            )
    ) AND NOT EXISTS (
        SELECT 1 FROM ledger.statements AS later
        WHERE later.city_id = s.city_id AND later.programme_id = s.programme_id
            AND later.account = s.account AND later.day = s.day AND later.version > s.version
    )
    ORDER BY s.day
$$;

-- One run. The caller holds the account.
CREATE OR REPLACE FUNCTION ledger.run(
    p_statement ledger.statements, p_run uuid, p_actor text
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s ledger.statements := p_statement;
    v_before date;
    v_closed_at bigint;
    v_continuous boolean;
    c record;
    v_waterfall jsonb;
    v_unexplained bigint;
BEGIN
    SELECT e.day, (e.totals ->> 'closing_fen')::bigint INTO v_before, v_closed_at
    FROM ledger.statements AS e
    WHERE e.city_id = s.city_id AND e.programme_id = s.programme_id AND e.account = s.account
        AND e.day < s.day
    ORDER BY e.day DESC, e.version DESC
    LIMIT 1;
    -- An account begins empty.
    v_continuous := (s.totals ->> 'opening_fen')::bigint
        = CASE WHEN v_before IS NULL THEN 0 ELSE v_closed_at END;
    -- Where a statement begins as the one before ended, nothing happened in between, and what was
    -- booked in between is missing. Otherwise a file is, and only the day itself can be judged.
    SELECT * INTO c
    FROM ledger.compare(s, p_run, CASE WHEN v_continuous THEN v_before ELSE s.day - 1 END);
    PERFORM ledger.refresh_breaks(s, c.matched);
    v_waterfall := ledger.waterfall(s, c.found, c.timing_fen);
    v_unexplained := (v_waterfall ->> 'unexplained_fen')::bigint;
    IF v_unexplained <> 0 THEN
        c.found := c.found || ROW(
            s.city_id, p_run, cardinality(c.found) + 1, 'balance',
            concat_ws('|', 'balance', s.day, v_unexplained), NULL, NULL, NULL,
            (s.totals ->> 'closing_fen')::bigint,
            (s.totals ->> 'closing_fen')::bigint - v_unexplained, v_unexplained, s.day, NULL
        )::ledger.differences;
    END IF;
    INSERT INTO ledger.reconciliations (
        city_id, reconciliation_id, programme_id, statement_id, lines, movements, matched,
        differences, difference_fen, is_continuous, missing_days, waterfall, result_hash, run_at,
        run_by
    )
    SELECT s.city_id, p_run, s.programme_id, s.statement_id, s.lines,
        cardinality(c.matched) + count(*) FILTER (WHERE d.type = 'missing_in_channel'),
        cardinality(c.matched), cardinality(c.found), coalesce(sum(d.difference_fen), 0),
        v_continuous, ledger.missing_days(s, v_before, v_continuous), v_waterfall,
        ledger.result_hash(s, c.matched, c.found), campaign.now(), p_actor
    FROM unnest(c.found) AS d;
    INSERT INTO ledger.matches SELECT m.* FROM unnest(c.matched) AS m;
    PERFORM ledger.keep_differences(s, p_run, c.found);
END
$$;

-- Bring the breaks of what was missing in the channel up to date: cleared where a statement, whichever,
-- now says the movement, and open again where none does any more.
CREATE OR REPLACE FUNCTION ledger.refresh_breaks(
    p_statement ledger.statements, p_matched ledger.matches[]
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
AS $$
DECLARE
    v_stated uuid[];
    v_unstated uuid[];
BEGIN
    WITH stated AS MATERIALIZED (
        SELECT m.journal_id FROM unnest(p_matched) AS m
        UNION
        SELECT t.journal_id
        FROM ledger.current_runs AS r
        JOIN ledger.matches AS t USING (city_id, reconciliation_id)
        WHERE r.city_id = p_statement.city_id AND r.programme_id = p_statement.programme_id
            AND r.account = p_statement.account AND r.day <> p_statement.day
    )
    SELECT
        array_agg(b.break_id) FILTER (WHERE stated.journal_id IS NOT NULL),
        array_agg(b.break_id) FILTER (WHERE stated.journal_id IS NULL)
    INTO v_stated, v_unstated
    FROM ledger.breaks AS b
    LEFT JOIN stated ON stated.journal_id = b.booked_journal_id
    WHERE b.city_id = p_statement.city_id AND b.programme_id = p_statement.programme_id
        AND b.account = p_statement.account AND b.type = 'missing_in_channel';
    PERFORM ledger.clear_breaks(p_statement.city_id, v_stated);
    PERFORM ledger.reopen_breaks(p_statement.city_id, v_unstated);
END
$$;

-- Clear breaks that are not found any more. A proposal lapses; what two persons have settled stays so.
CREATE OR REPLACE FUNCTION ledger.clear_breaks(p_city smallint, p_breaks uuid[]) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE ledger.breaks AS b SET
        cleared_at = campaign.now(),
        state = CASE WHEN b.state IN ('open', 'proposed') THEN 'cleared' ELSE b.state END,
        proposal = CASE b.state WHEN 'proposed' THEN NULL ELSE b.proposal END,
        reason = CASE b.state WHEN 'proposed' THEN NULL ELSE b.reason END,
        proposed_at = CASE b.state WHEN 'proposed' THEN NULL ELSE b.proposed_at END,
        proposed_by = CASE b.state WHEN 'proposed' THEN NULL ELSE b.proposed_by END
    WHERE b.city_id = p_city AND b.break_id = ANY (p_breaks) AND b.cleared_at IS NULL
$$;

CREATE OR REPLACE FUNCTION ledger.reopen_breaks(p_city smallint, p_breaks uuid[]) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE ledger.breaks AS b SET
        cleared_at = NULL, state = CASE b.state WHEN 'cleared' THEN 'open' ELSE b.state END
    WHERE b.city_id = p_city AND b.break_id = ANY (p_breaks) AND b.cleared_at IS NOT NULL
$$;

-- The balance of an account on the debit side at the end of a day.
CREATE OR REPLACE FUNCTION ledger.balance_on(
    p_city smallint, p_programme uuid, p_account text, p_day date
) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
AS $$
    WITH account AS (
        SELECT a.account_id FROM ledger.accounts AS a
        WHERE a.city_id = p_city AND a.programme_id = p_programme AND a.code = p_account
    ),
    moved AS (
        SELECT t.journal_id, t.amount_fen FROM ledger.transfers AS t
        WHERE t.city_id = p_city AND t.programme_id = p_programme
            AND t.debit_account_id = (SELECT account_id FROM account)
        UNION ALL
        SELECT t.journal_id, -t.amount_fen FROM ledger.transfers AS t
        WHERE t.city_id = p_city AND t.programme_id = p_programme
            AND t.credit_account_id = (SELECT account_id FROM account)
    )
    SELECT coalesce(sum(m.amount_fen), 0)::bigint
    FROM moved AS m
    JOIN ledger.journals AS j
        ON j.city_id = p_city AND j.programme_id = p_programme AND j.posted_at <= 'infinity'
        AND j.journal_id = m.journal_id
    WHERE j.accounting_date <= p_day
$$;

-- From the books' balance at the end of the statement's day to the statement's own, step by step.
-- p_found are the differences of this run; what earlier days' breaks explain is carried.
CREATE OR REPLACE FUNCTION ledger.waterfall(
    p_statement ledger.statements, p_found ledger.differences[], p_timing_fen bigint
) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
AS $$
    WITH found AS MATERIALIZED (
        SELECT d.subject, d.difference_fen FROM unnest(p_found) AS d
    ),
    step AS (
        SELECT
            ledger.balance_on(
                p_statement.city_id, p_statement.programme_id, p_statement.account,
                p_statement.day
            ) AS ledger_fen,
            (
                SELECT coalesce(sum(b.difference_fen), 0)::bigint
                FROM ledger.breaks AS b
                WHERE b.city_id = p_statement.city_id
                    AND b.programme_id = p_statement.programme_id
                    AND b.account = p_statement.account AND b.cleared_at IS NULL
                    AND b.happened_on < p_statement.day
                    AND NOT EXISTS (SELECT 1 FROM found AS f WHERE f.subject = b.subject)
            ) AS carried_fen,
            (SELECT coalesce(sum(f.difference_fen), 0)::bigint FROM found AS f) AS found_fen,
            (
                SELECT -coalesce(sum(b.difference_fen), 0)::bigint
                FROM ledger.breaks AS b
                JOIN ledger.journals AS j ON j.city_id = b.city_id AND j.journal_id = b.journal_id
                WHERE b.city_id = p_statement.city_id
                    AND b.programme_id = p_statement.programme_id
                    AND b.account = p_statement.account AND b.state = 'posted'
                    AND j.accounting_date <= p_statement.day
            ) AS booked_fen,
            (p_statement.totals ->> 'closing_fen')::bigint AS statement_fen
    )
    SELECT jsonb_build_object(
        'ledger_fen', ledger_fen, 'carried_fen', carried_fen, 'found_fen', found_fen,
        'timing_fen', p_timing_fen, 'booked_fen', booked_fen,
        'unexplained_fen',
            statement_fen - ledger_fen - carried_fen - found_fen - p_timing_fen - booked_fen,
        'statement_fen', statement_fen
    )
    FROM step
$$;

-- The days since the statement before on which the account moved, though there is no statement of them.
CREATE OR REPLACE FUNCTION ledger.missing_days(
    p_statement ledger.statements, p_before date, p_continuous boolean
) RETURNS date[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(array_agg(moved.accounting_date ORDER BY moved.accounting_date), '{}')
    FROM (
        SELECT DISTINCT m.accounting_date
        FROM ledger.cash_movements(
            p_statement.city_id, p_statement.programme_id, p_statement.account
        ) AS m
        WHERE p_continuous IS NOT TRUE AND m.accounting_date < p_statement.day
            AND (p_before IS NULL OR m.accounting_date > p_before)
        ORDER BY m.accounting_date DESC
        LIMIT 31
    ) AS moved
$$;

-- What a run found, in one number: over the file, its pairs and its differences, and over nothing that
-- another run on the same inputs would have otherwise.
CREATE OR REPLACE FUNCTION ledger.result_hash(
    p_statement ledger.statements, p_matched ledger.matches[], p_found ledger.differences[]
) RETURNS bytea
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
AS $$
    SELECT sha256(p_statement.sha256 || convert_to(
        coalesce(string_agg(result.said, E'\n' ORDER BY result.said COLLATE "C"), ''), 'UTF8'
    ))
    FROM (
        SELECT concat_ws('|', 'pair', m.line_no, j.kind, j.event, m.pass) AS said
        FROM unnest(p_matched) AS m
        JOIN ledger.journals AS j
            ON j.city_id = p_statement.city_id AND j.programme_id = p_statement.programme_id
            AND j.posted_at <= 'infinity' AND j.journal_id = m.journal_id
        UNION ALL
        SELECT concat_ws('|', 'difference', d.type, d.difference_fen, d.line_no, d.subject)
        FROM unnest(p_found) AS d
    ) AS result
$$;

-- Keep a run's differences, each under its break: one that was found before keeps its identity and its
-- state, one that is found again after it was cleared is open again. What stood on this day and is
-- not found any more is cleared.
CREATE OR REPLACE FUNCTION ledger.keep_differences(
    p_statement ledger.statements, p_run uuid, p_found ledger.differences[]
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
AS $$
BEGIN
    PERFORM ledger.clear_breaks(p_statement.city_id, array_agg(b.break_id))
    FROM ledger.breaks AS b
    WHERE b.city_id = p_statement.city_id AND b.programme_id = p_statement.programme_id
        AND b.account = p_statement.account AND b.happened_on = p_statement.day
        AND b.type <> 'missing_in_channel' AND b.cleared_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM unnest(p_found) AS d WHERE d.subject = b.subject);
    WITH kept AS (
        INSERT INTO ledger.breaks AS b (
            city_id, break_id, programme_id, statement_id, reconciliation_id, account, type,
            subject, line_no, booked_journal_id, end_to_end_no, statement_fen, booked_fen,
            difference_fen, happened_on, state, opened_at
        )
        SELECT d.city_id, ledger.new_id(d.city_id), p_statement.programme_id,
            p_statement.statement_id, p_run, p_statement.account, d.type, d.subject, d.line_no,
            d.journal_id, d.end_to_end_no, d.statement_fen, d.booked_fen, d.difference_fen,
            d.happened_on, 'open', campaign.now()
        FROM unnest(p_found) AS d
        ON CONFLICT (city_id, programme_id, account, subject) DO UPDATE SET
            type = EXCLUDED.type,
            statement_id = EXCLUDED.statement_id,
            reconciliation_id = EXCLUDED.reconciliation_id,
            line_no = EXCLUDED.line_no,
            state = CASE b.state WHEN 'cleared' THEN 'open' ELSE b.state END,
            cleared_at = NULL
        RETURNING b.break_id, b.subject
    )
    INSERT INTO ledger.differences (
        city_id, reconciliation_id, place, type, subject, line_no, journal_id, end_to_end_no,
        statement_fen, booked_fen, difference_fen, happened_on, break_id
    )
    SELECT d.city_id, d.reconciliation_id, d.place, d.type, d.subject, d.line_no, d.journal_id,
        d.end_to_end_no, d.statement_fen, d.booked_fen, d.difference_fen, d.happened_on,
        kept.break_id
    FROM unnest(p_found) AS d
    JOIN kept USING (subject);
END
$$;
