-- A UUIDv7 that carries the city, as shared/ids.py makes them.
CREATE OR REPLACE FUNCTION ledger.new_id(p_city smallint) RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
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

-- Post one journal: the only writer of accounts, journals, transfers and guarded balances.
-- Line n moves p_amounts[n] fen from the credit side of p_debits[n] to that of p_credits[n], which
-- are account codes; lines of zero are left out. Callers hold the lock of the event they book.
-- A second journal of the same (city, kind, event) fails on journals_identity_key; an overdrawn
-- guarded account fails on balance_is_not_negative. Nobody but the owner may call it.
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
SET enable_seqscan = off
AS $$
DECLARE
    v_journal uuid := ledger.new_id(p_city);
BEGIN
    INSERT INTO ledger.accounts (city_id, programme_id, code, family)
    SELECT DISTINCT p_city, p_programme, named.code, split_part(named.code, ':', 1)
    FROM unnest(p_debits || p_credits) AS named (code)
    WHERE NOT EXISTS (
        SELECT 1 FROM ledger.accounts AS a
        WHERE a.city_id = p_city AND a.programme_id = p_programme AND a.code = named.code
    )
    ON CONFLICT ON CONSTRAINT accounts_code_key DO NOTHING;

    INSERT INTO ledger.journals (
        city_id, journal_id, programme_id, kind, event, drop_id, accounting_date, posted_at, actor
    ) VALUES (
        p_city, v_journal, p_programme, p_kind, p_event, p_drop,
        ledger.accounting_date(p_at), p_at, p_actor
    );

    INSERT INTO ledger.transfers (
        city_id, journal_id, line, programme_id, debit_account_id, credit_account_id, amount_fen
    )
    SELECT
        p_city, v_journal, row_number() OVER (ORDER BY moved.line), p_programme,
        debit.account_id, credit.account_id, moved.amount
    FROM unnest(p_debits, p_credits, p_amounts) WITH ORDINALITY
        AS moved (debit, credit, amount, line)
    JOIN ledger.accounts AS debit
        ON debit.city_id = p_city AND debit.programme_id = p_programme AND debit.code = moved.debit
    JOIN ledger.accounts AS credit
        ON credit.city_id = p_city AND credit.programme_id = p_programme
        AND credit.code = moved.credit
    WHERE moved.amount <> 0;

    PERFORM ledger.move_guarded_balances(p_city, p_programme, p_debits, p_credits, p_amounts);
    RETURN v_journal;
END
$$;

-- Carry the lines of a journal over to the balance rows of its guarded accounts.
CREATE OR REPLACE FUNCTION ledger.move_guarded_balances(
    p_city smallint,
    p_programme uuid,
    p_debits text[],
    p_credits text[],
    p_amounts bigint[]
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v_accounts bigint[];
    v_changes bigint[];
BEGIN
    SELECT array_agg(change.account_id ORDER BY change.account_id),
           array_agg(change.amount ORDER BY change.account_id)
    INTO v_accounts, v_changes
    FROM (
        SELECT
            a.account_id,
            sum(CASE WHEN f.normal_side = side.name THEN moved.amount ELSE -moved.amount END)::bigint
                AS amount
        FROM unnest(p_debits, p_credits, p_amounts) AS moved (debit, credit, amount)
        CROSS JOIN LATERAL (
            VALUES ('debit', moved.debit), ('credit', moved.credit)
        ) AS side (name, code)
        JOIN ledger.account_families AS f ON f.family = split_part(side.code, ':', 1) AND f.guarded
        JOIN ledger.accounts AS a
            ON a.city_id = p_city AND a.programme_id = p_programme AND a.code = side.code
        GROUP BY a.account_id
    ) AS change;

    IF v_accounts IS NULL THEN
        RETURN;
    END IF;

    INSERT INTO ledger.balances (city_id, programme_id, account_id, balance_fen)
    SELECT p_city, p_programme, opened.account_id, 0 FROM unnest(v_accounts) AS opened (account_id)
    ON CONFLICT DO NOTHING;

    -- Sorted, so that two postings over the same accounts cannot deadlock.
    PERFORM 1 FROM ledger.balances AS b
    WHERE b.city_id = p_city AND b.programme_id = p_programme AND b.account_id = ANY (v_accounts)
    ORDER BY b.account_id
    FOR NO KEY UPDATE;

    UPDATE ledger.balances AS b
    SET balance_fen = b.balance_fen + change.amount
    FROM unnest(v_accounts, v_changes) AS change (account_id, amount)
    WHERE b.city_id = p_city AND b.programme_id = p_programme
        AND b.account_id = change.account_id;
END
$$;
