-- A UUIDv7 that carries the city, as shared/ids.py makes them. Without settings of its own it becomes
-- a part of the expression that asks for it.
CREATE OR REPLACE FUNCTION ledger.new_id(p_city smallint) RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$
    SELECT encode(
        set_byte(
            set_byte(
                overlay(
                    uuid_send(gen_random_uuid())
                    PLACING substring(
                        int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3
                    )
                    FROM 1 FOR 6
                ),
                6, 112 + (p_city >> 8)
            ),
            7, p_city & 255
        ),
        'hex'
    )::uuid
$$;

-- Post journals: the only writer of accounts, journals, transfers and guarded balances.
-- Journal n has p_kinds[n] and so on; line l belongs to journal p_lines[l] and moves p_amounts[l] fen
-- from the credit side of p_debits[l] to that of p_credits[l], which are account codes; lines of zero
-- are left out. Callers hold the locks of the events they book.
-- A second journal of the same (city, kind, event) fails on journals_identity_key; an overdrawn
-- guarded account fails on balance_is_not_negative. Nobody but the owner may call it.
CREATE OR REPLACE FUNCTION ledger.post_many(
    p_city smallint,
    p_at timestamptz,
    p_journals uuid[],
    p_programmes uuid[],
    p_kinds text[],
    p_events text[],
    p_drops uuid[],
    p_actors text[],
    p_lines integer[],
    p_debits text[],
    p_credits text[],
    p_amounts bigint[]
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
BEGIN
    INSERT INTO ledger.accounts (city_id, programme_id, code, family)
    SELECT p_city, named.programme_id, named.code, split_part(named.code, ':', 1)
    FROM (
        SELECT DISTINCT p_programmes[l.journal] AS programme_id, l.code
        FROM unnest(p_lines || p_lines, p_debits || p_credits, p_amounts || p_amounts)
            AS l (journal, code, amount)
        WHERE l.amount <> 0
    ) AS named
    LEFT JOIN LATERAL (
        SELECT a.account_id FROM ledger.accounts AS a
        WHERE a.city_id = p_city AND a.programme_id = named.programme_id AND a.code = named.code
        LIMIT 1
    ) AS known ON true
    WHERE known.account_id IS NULL
    ORDER BY named.programme_id, named.code
    ON CONFLICT (city_id, programme_id, code) WHERE code IS NOT NULL DO NOTHING;

    INSERT INTO ledger.journals (
        city_id, journal_id, programme_id, kind, event, drop_id, accounting_date, posted_at, actor
    )
    SELECT
        p_city, j.journal_id, j.programme_id, j.kind, j.event, j.drop_id,
        ledger.accounting_date(p_at), p_at, j.actor
    FROM unnest(p_journals, p_programmes, p_kinds, p_events, p_drops, p_actors)
        AS j (journal_id, programme_id, kind, event, drop_id, actor);

    INSERT INTO ledger.transfers (
        city_id, journal_id, line, programme_id, debit_account_id, credit_account_id, amount_fen
    )
    SELECT
        p_city, p_journals[moved.journal],
        row_number() OVER (PARTITION BY moved.journal ORDER BY moved.line),
        p_programmes[moved.journal], debit.account_id, credit.account_id, moved.amount
    FROM unnest(p_lines, p_debits, p_credits, p_amounts) WITH ORDINALITY
        AS moved (journal, debit, credit, amount, line)
    CROSS JOIN LATERAL (
        SELECT a.account_id FROM ledger.accounts AS a
        WHERE a.city_id = p_city AND a.programme_id = p_programmes[moved.journal]
            AND a.code = moved.debit
        LIMIT 1
    ) AS debit
    CROSS JOIN LATERAL (
        SELECT a.account_id FROM ledger.accounts AS a
        WHERE a.city_id = p_city AND a.programme_id = p_programmes[moved.journal]
            AND a.code = moved.credit
        LIMIT 1
    ) AS credit
    WHERE moved.amount <> 0;

    PERFORM ledger.move_guarded_balances(
        p_city,
        ARRAY(
            SELECT p_programmes[l.journal]
            FROM unnest(p_lines) WITH ORDINALITY AS l (journal, line) ORDER BY l.line
        ),
        p_debits, p_credits, p_amounts
    );
END
$$;

-- Post one journal, with an id of its own, and return the id.
CREATE OR REPLACE FUNCTION ledger.post(
    p_city smallint,
    p_programme uuid,
    p_kind text,
    p_event text,
    p_drop uuid,
    p_actor text,
    p_at timestamptz,
    p_debits text[],
    p_credits text[],
    p_amounts bigint[]
) RETURNS uuid
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_journal uuid := ledger.new_id(p_city);
BEGIN
    PERFORM ledger.post_many(
        p_city, p_at, ARRAY[v_journal], ARRAY[p_programme], ARRAY[p_kind], ARRAY[p_event],
        ARRAY[p_drop], ARRAY[p_actor], array_fill(1, ARRAY[cardinality(p_debits)]),
        p_debits, p_credits, p_amounts
    );
    RETURN v_journal;
END
$$;

-- Carry lines over to the balance rows of their guarded accounts; line n is of p_programmes[n].
CREATE OR REPLACE FUNCTION ledger.move_guarded_balances(
    p_city smallint,
    p_programmes uuid[],
    p_debits text[],
    p_credits text[],
    p_amounts bigint[]
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v_programmes uuid[];
    v_accounts bigint[];
    v_changes bigint[];
BEGIN
    SELECT
        array_agg(change.programme_id ORDER BY change.account_id),
        array_agg(change.account_id ORDER BY change.account_id),
        array_agg(change.amount ORDER BY change.account_id)
    INTO v_programmes, v_accounts, v_changes
    FROM (
        SELECT
            moved.programme_id, a.account_id,
            CASE f.normal_side WHEN 'debit' THEN moved.debited ELSE -moved.debited END AS amount
        FROM (
            SELECT l.programme_id, side.code, sum(side.debited)::bigint AS debited
            FROM unnest(p_programmes, p_debits, p_credits, p_amounts)
                AS l (programme_id, debit, credit, amount)
            CROSS JOIN LATERAL (
                VALUES (l.debit, l.amount), (l.credit, -l.amount)
            ) AS side (code, debited)
            WHERE l.amount <> 0
            GROUP BY l.programme_id, side.code
        ) AS moved
        JOIN ledger.account_families AS f ON f.family = split_part(moved.code, ':', 1) AND f.guarded
        CROSS JOIN LATERAL (
            SELECT a.account_id FROM ledger.accounts AS a
            WHERE a.city_id = p_city AND a.programme_id = moved.programme_id
                AND a.code = moved.code
            LIMIT 1
        ) AS a
    ) AS change;

    IF v_accounts IS NULL THEN
        RETURN;
    END IF;

    INSERT INTO ledger.balances (city_id, programme_id, account_id, balance_fen)
    SELECT p_city, opened.programme_id, opened.account_id, 0
    FROM unnest(v_programmes, v_accounts) AS opened (programme_id, account_id)
    ON CONFLICT DO NOTHING;

    -- Sorted, so that two postings over the same accounts cannot deadlock.
    FOR v_place IN 1 .. cardinality(v_accounts) LOOP
        UPDATE ledger.balances
        SET balance_fen = balance_fen + v_changes[v_place]
        WHERE city_id = p_city AND programme_id = v_programmes[v_place]
            AND account_id = v_accounts[v_place];
    END LOOP;
END
$$;

DROP FUNCTION IF EXISTS ledger.move_guarded_balances(smallint, uuid, text[], text[], bigint[]);
