-- Book money that came in (J1), a promise (J2), or a promise paid (J3).
-- Returns 'booked', 'unknown_funder', 'pledge_exceeded' when more is paid than was promised, or
-- 'pledge_absorbed' when it is committed to drops that take it off what merchants are paid (J11).
CREATE OR REPLACE FUNCTION campaign.fund(
    p_city smallint,
    p_programme uuid,
    p_funding uuid,
    p_funder text,
    p_amount_fen bigint,
    p_reference text,
    p_journal_kind text,
    p_actor text
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := campaign.now();
    v_debit text;
    v_credit text;
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM campaign.funders
        WHERE city_id = p_city AND programme_id = p_programme AND funder_id = p_funder
    ) THEN
        RETURN 'unknown_funder';
    END IF;

    v_debit := CASE p_journal_kind WHEN 'J2' THEN 'pledge:' || p_funder ELSE 'bank:main' END;
    v_credit := CASE p_journal_kind WHEN 'J3' THEN 'pledge:' ELSE 'available:' END || p_funder;
    PERFORM ledger.lock_balances(p_city, p_programme, ARRAY[v_debit, v_credit]);
    IF p_journal_kind = 'J3'
        AND ledger.guarded_balance(p_city, p_programme, v_credit) < p_amount_fen
    THEN
        RETURN 'pledge_exceeded';
    ELSIF p_journal_kind = 'J3' AND EXISTS (
        SELECT 1 FROM campaign.funders
        WHERE city_id = p_city AND programme_id = p_programme AND funder_id = p_funder
            AND kind = 'merchant_pool' AND mode = 'pledge'
    ) AND ledger.guarded_balance(p_city, p_programme, v_credit)
        - campaign.committed_pledge(p_city, p_programme, p_funder) < p_amount_fen
    THEN
        RETURN 'pledge_absorbed';
    END IF;

    INSERT INTO campaign.fundings (
        city_id, funding_id, programme_id, funder_id, amount_fen, reference, journal_kind,
        created_at, created_by
    ) VALUES (
        p_city, p_funding, p_programme, p_funder, p_amount_fen, p_reference, p_journal_kind,
        v_now, p_actor
    );
    PERFORM ledger.post(
        p_city, p_programme, p_journal_kind, p_funding::text, NULL, p_actor, v_now,
        ARRAY[v_debit], ARRAY[v_credit], ARRAY[p_amount_fen]
    );
    RETURN 'booked';
END
$$;

-- Lock the balances of guarded accounts until the transaction ends: all that it will touch, in one
-- call and sorted, so that two transactions over the same accounts cannot deadlock.
CREATE OR REPLACE FUNCTION ledger.lock_balances(
    p_city smallint, p_programme uuid, p_codes text[]
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM 1
    FROM ledger.accounts AS a
    JOIN ledger.balances AS b USING (city_id, programme_id, account_id)
    WHERE a.city_id = p_city AND a.programme_id = p_programme AND a.code = ANY (p_codes)
    ORDER BY b.account_id
    FOR NO KEY UPDATE OF b;
END
$$;

-- The balance of a guarded account; 0 where it has none yet.
CREATE OR REPLACE FUNCTION ledger.guarded_balance(
    p_city smallint, p_programme uuid, p_code text
) RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((
        SELECT b.balance_fen
        FROM ledger.accounts AS a
        JOIN ledger.balances AS b USING (city_id, programme_id, account_id)
        WHERE a.city_id = p_city AND a.programme_id = p_programme AND a.code = p_code
    ), 0)
$$;
