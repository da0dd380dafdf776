-- Comparing a statement with the books, row by row and journal by journal.

-- What moved an account of cash: what a statement is compared with. The end-to-end number of a payment
-- is the one that both sides carry, the channel's own number the one that it answered with. Bookings
-- of breaks are not movements.
-- expected_by: the day whose statement says it at the latest. What we book before the channel does it
-- (J19, J32) may be stated a day later, when it was booked in the last quarter of an hour.
CREATE OR REPLACE FUNCTION ledger.cash_movements(
    p_city smallint, p_programme uuid, p_account text,
    OUT journal_id uuid, OUT kind text, OUT event text, OUT direction text, OUT amount_fen bigint,
    OUT end_to_end_no text, OUT channel_no text, OUT accounting_date date, OUT expected_by date
) RETURNS SETOF record
LANGUAGE sql STABLE
ROWS 20000
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
SET work_mem = '64MB'
AS $$
    WITH account AS (
        SELECT a.account_id FROM ledger.accounts AS a
        WHERE a.city_id = p_city AND a.programme_id = p_programme AND a.code = p_account
    ),
    moved AS MATERIALIZED (
        SELECT t.journal_id, 'in' AS direction, sum(t.amount_fen)::bigint AS amount_fen
        FROM ledger.transfers AS t
        WHERE t.city_id = p_city AND t.programme_id = p_programme
            AND t.debit_account_id = (SELECT account_id FROM account)
        GROUP BY t.journal_id
        UNION ALL
        SELECT t.journal_id, 'out', sum(t.amount_fen)::bigint
        FROM ledger.transfers AS t
        WHERE t.city_id = p_city AND t.programme_id = p_programme
            AND t.credit_account_id = (SELECT account_id FROM account)
        GROUP BY t.journal_id
    ),
    booked AS MATERIALIZED (
        SELECT j.journal_id, j.kind, j.event, m.direction, m.amount_fen, j.accounting_date,
            j.posted_at,
            CASE WHEN j.kind IN ('J1', 'J3', 'J15', 'J17', 'J23e') THEN j.event::uuid END
                AS event_id
        FROM moved AS m
        JOIN ledger.journals AS j
            ON j.city_id = p_city AND j.programme_id = p_programme AND j.posted_at <= 'infinity'
            AND j.journal_id = m.journal_id
        WHERE j.kind NOT IN ('J24', 'J25')
    )
    SELECT b.journal_id, b.kind, b.event, b.direction, b.amount_fen,
        coalesce(f.reference, i.instruction_id::text, b.event),
        coalesce(i.operator_txn_no, p.bank_txn_no),
        b.accounting_date,
        CASE WHEN b.kind IN ('J19', 'J32')
            THEN ledger.accounting_date(b.posted_at + interval '15 minutes')
            ELSE b.accounting_date
        END
    FROM booked AS b
    LEFT JOIN campaign.fundings AS f
        ON f.city_id = p_city AND f.funding_id = b.event_id AND b.kind IN ('J1', 'J3')
    LEFT JOIN redeem.instructions AS i
        ON i.city_id = p_city AND i.redemption_id = b.event_id AND i.state = 'confirmed'
        AND i.kind = CASE b.kind WHEN 'J17' THEN 'pay' WHEN 'J23e' THEN 'refund' END
    LEFT JOIN ledger.payouts AS p
        ON p.city_id = p_city AND p.payout_id = b.event_id AND b.kind = 'J15'
$$;

-- Pair the rows of a statement with the movements that no other statement's current run has, and say
-- what is left over and what is not the same. The passes, each over what the ones before it left:
--   1 the end-to-end number, direction and amount    2 the channel's number, direction and amount
--   3 the end-to-end number alone                    4 the channel's number alone
-- Where a number occurs several times, the earlier row gets the earlier movement. A movement of any
-- day is paired when all is the same, since a payment may be booked after it was stated, or the
-- other way round; by the number alone only up to the day after.
--
-- A movement is missing in the channel when this statement had to say it: it is expected by p_day, and
-- after p_since (NULL: since ever). A row that cannot be paired is a duplicate when its number is taken.
--
-- timing_fen: what on balance the statement has and the books do not have yet, or no longer, at the
-- end of the day, for no other reason than that they were late or early.
CREATE OR REPLACE FUNCTION ledger.compare(
    p_statement ledger.statements, p_run uuid, p_since date,
    OUT matched ledger.matches[], OUT found ledger.differences[], OUT timing_fen bigint
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
SET work_mem = '64MB'
AS $$
    WITH line AS MATERIALIZED (
        SELECT l.line_no, l.direction, l.amount_fen, l.end_to_end_no,
            nullif(l.channel_no, '') AS channel_no,
            CASE l.direction WHEN 'in' THEN l.amount_fen ELSE -l.amount_fen END AS signed_fen
        FROM ledger.statement_lines AS l
        WHERE l.city_id = p_statement.city_id AND l.statement_id = p_statement.statement_id
            AND l.fault IS NULL
    ),
    move AS MATERIALIZED (
        SELECT m.*, elsewhere.day AS stated_on,
            CASE m.direction WHEN 'in' THEN m.amount_fen ELSE -m.amount_fen END AS signed_fen
        FROM ledger.cash_movements(
            p_statement.city_id, p_statement.programme_id, p_statement.account
        ) AS m
        LEFT JOIN (
            SELECT t.journal_id, r.day
            FROM ledger.current_runs AS r
            JOIN ledger.matches AS t USING (city_id, reconciliation_id)
            WHERE r.city_id = p_statement.city_id AND r.programme_id = p_statement.programme_id
                AND r.account = p_statement.account AND r.day <> p_statement.day
        ) AS elsewhere USING (journal_id)
    ),
    pass_1 AS MATERIALIZED (
        SELECT l.line_no, m.journal_id
        FROM (
            SELECT *, row_number() OVER (
                PARTITION BY end_to_end_no, direction, amount_fen ORDER BY line_no
            ) AS nth
            FROM line
        ) AS l
        JOIN (
            SELECT *, row_number() OVER (
                PARTITION BY end_to_end_no, direction, amount_fen
                ORDER BY accounting_date, journal_id
            ) AS nth
            FROM move
            WHERE stated_on IS NULL
        ) AS m USING (end_to_end_no, direction, amount_fen, nth)
    ),
    line_2 AS MATERIALIZED (
        SELECT * FROM line AS l
        WHERE NOT EXISTS (SELECT 1 FROM pass_1 AS t WHERE t.line_no = l.line_no)
    ),
    move_2 AS MATERIALIZED (
        SELECT * FROM move AS m
        WHERE m.stated_on IS NULL
            AND NOT EXISTS (SELECT 1 FROM pass_1 AS t WHERE t.journal_id = m.journal_id)
    ),
    pass_2 AS MATERIALIZED (
        SELECT l.line_no, m.journal_id
        FROM (
            SELECT *, row_number() OVER (
                PARTITION BY channel_no, direction, amount_fen ORDER BY line_no
            ) AS nth
            FROM line_2
        ) AS l
        JOIN (
            SELECT *, row_number() OVER (
                PARTITION BY channel_no, direction, amount_fen ORDER BY accounting_date, journal_id
            ) AS nth
            FROM move_2
        ) AS m USING (channel_no, direction, amount_fen, nth)
    ),
    line_3 AS MATERIALIZED (
        SELECT * FROM line_2 AS l
        WHERE NOT EXISTS (SELECT 1 FROM pass_2 AS t WHERE t.line_no = l.line_no)
    ),
    move_3 AS MATERIALIZED (
        SELECT * FROM move_2 AS m
        WHERE m.accounting_date <= p_statement.day + 1
            AND NOT EXISTS (SELECT 1 FROM pass_2 AS t WHERE t.journal_id = m.journal_id)
    ),
    pass_3 AS MATERIALIZED (
        SELECT l.line_no, m.journal_id
        FROM (
            SELECT *, row_number() OVER (
                PARTITION BY end_to_end_no ORDER BY direction, amount_fen, line_no
            ) AS nth
            FROM line_3
        ) AS l
        JOIN (
            SELECT *, row_number() OVER (
                PARTITION BY end_to_end_no
                ORDER BY direction, amount_fen, accounting_date, journal_id
            ) AS nth
            FROM move_3
        ) AS m USING (end_to_end_no, nth)
    ),
    pass_4 AS MATERIALIZED (
        SELECT l.line_no, m.journal_id
        FROM (
            SELECT *, row_number() OVER (
                PARTITION BY channel_no ORDER BY direction, amount_fen, line_no
            ) AS nth
            FROM line_3 AS l
            WHERE NOT EXISTS (SELECT 1 FROM pass_3 AS t WHERE t.line_no = l.line_no)
        ) AS l
        JOIN (
            SELECT *, row_number() OVER (
                PARTITION BY channel_no ORDER BY direction, amount_fen, accounting_date, journal_id
            ) AS nth
            FROM move_3 AS m
            WHERE NOT EXISTS (SELECT 1 FROM pass_3 AS t WHERE t.journal_id = m.journal_id)
        ) AS m USING (channel_no, nth)
    ),
    pair AS MATERIALIZED (
        SELECT line_no, journal_id, 1::smallint AS pass FROM pass_1
        UNION ALL SELECT line_no, journal_id, 2::smallint FROM pass_2
        UNION ALL SELECT line_no, journal_id, 3::smallint FROM pass_3
        UNION ALL SELECT line_no, journal_id, 4::smallint FROM pass_4
    ),
    compared AS MATERIALIZED (
        SELECT m.*, coalesce(m.stated_on, CASE WHEN t.line_no IS NOT NULL THEN p_statement.day END)
            AS found_on
        FROM move AS m
        LEFT JOIN pair AS t USING (journal_id)
    ),
    different AS (
        SELECT
            CASE WHEN taken_number.number IS NULL AND taken_channel.number IS NULL
                THEN 'missing_in_ledger' ELSE 'duplicate' END AS type,
            concat_ws('|', 'row', p_statement.day, l.end_to_end_no, l.direction, l.amount_fen,
                row_number() OVER (
                    PARTITION BY l.end_to_end_no, l.direction, l.amount_fen ORDER BY l.line_no
                )) AS subject,
            l.line_no, NULL::uuid AS journal_id, l.end_to_end_no, l.signed_fen AS statement_fen,
            NULL::bigint AS booked_fen, p_statement.day AS happened_on
        FROM line AS l
        LEFT JOIN (
            SELECT DISTINCT end_to_end_no AS number FROM compared WHERE found_on IS NOT NULL
        ) AS taken_number ON taken_number.number = l.end_to_end_no
        LEFT JOIN (
            SELECT DISTINCT channel_no AS number FROM compared WHERE found_on IS NOT NULL
        ) AS taken_channel ON taken_channel.number = l.channel_no
        WHERE NOT EXISTS (SELECT 1 FROM pair AS t WHERE t.line_no = l.line_no)
        UNION ALL
        SELECT 'missing_in_channel', concat_ws('|', 'journal', m.kind, m.event), NULL, m.journal_id,
            m.end_to_end_no, NULL, m.signed_fen, m.expected_by
        FROM compared AS m
        WHERE m.found_on IS NULL AND m.expected_by <= p_statement.day
            AND (p_since IS NULL OR m.expected_by > p_since)
        UNION ALL
        SELECT CASE WHEN l.direction = m.direction THEN 'amount' ELSE 'direction' END,
            concat_ws('|', 'pair', p_statement.day, m.kind, m.event, l.signed_fen),
            l.line_no, m.journal_id, m.end_to_end_no, l.signed_fen, m.signed_fen, p_statement.day
        FROM pair AS t
        JOIN line AS l USING (line_no)
        JOIN move AS m USING (journal_id)
        WHERE t.pass IN (3, 4) AND l.signed_fen <> m.signed_fen
        UNION ALL
        -- What rows that cannot be read amount to is known from the balances around them: all of it
        -- is said of the first.
        SELECT 'unreadable',
            concat_ws('|', 'unreadable', p_statement.day,
                encode(sha256(convert_to(q.raw, 'UTF8')), 'hex'),
                row_number() OVER (PARTITION BY q.raw ORDER BY q.line_no), q.hidden_fen),
            q.line_no, NULL, NULL, q.hidden_fen, NULL, p_statement.day
        FROM (
            SELECT l.line_no, l.raw,
                CASE WHEN l.line_no = min(l.line_no) OVER () THEN
                    (p_statement.totals ->> 'closing_fen')::bigint
                    - (p_statement.totals ->> 'opening_fen')::bigint
                    - coalesce((SELECT sum(readable.signed_fen) FROM line AS readable), 0)::bigint
                END AS hidden_fen
            FROM ledger.statement_lines AS l
            WHERE l.city_id = p_statement.city_id AND l.statement_id = p_statement.statement_id
                AND l.fault IS NOT NULL
        ) AS q
    )
    SELECT
        coalesce((
            SELECT array_agg(ROW(
                p_statement.city_id, p_run, t.line_no, t.journal_id, t.pass
            )::ledger.matches)
            FROM pair AS t
        ), '{}'),
        coalesce((
            SELECT array_agg(ROW(
                p_statement.city_id, p_run, d.place, d.type, d.subject, d.line_no, d.journal_id,
                d.end_to_end_no, d.statement_fen, d.booked_fen,
                coalesce(d.statement_fen, 0) - coalesce(d.booked_fen, 0), d.happened_on, NULL
            )::ledger.differences ORDER BY d.place)
            FROM (
                SELECT *, row_number() OVER (ORDER BY line_no, happened_on, subject)::integer
                    AS place
                FROM different
            ) AS d
        ), '{}'),
        coalesce((
            SELECT sum(CASE
                WHEN m.accounting_date > p_statement.day AND m.found_on <= p_statement.day
                    THEN m.signed_fen
                WHEN m.accounting_date <= p_statement.day
                    AND coalesce(m.found_on, m.expected_by) > p_statement.day THEN -m.signed_fen
                ELSE 0
            END)
            FROM compared AS m
        ), 0)::bigint
$$;
