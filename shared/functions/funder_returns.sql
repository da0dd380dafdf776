-- What is left goes back to whom it came from, by the original route, once two persons agree.

-- Propose to give a funder back everything that is free: what expired (return) and, where p_budget,
-- what is allocated to no drop (available). A promise that was never drawn is struck off (J20), the
-- rest is paid (J19), from the custody wallet as far as no e-CNY drop needs its money, then from the
-- bank account as far as no merchant does.
-- outcome: 'proposed', 'nothing_to_return', 'not_found', 'in_progress' (an earlier proposal is open),
-- 'insufficient_funds' (the accounts do not cover it: merchants are owed what is there, or may still
-- earn it, and somebody has not paid what they promised).
CREATE OR REPLACE FUNCTION ledger.propose_return(
    p_city smallint, p_programme uuid, p_funder text, p_budget boolean, p_return uuid, p_actor text
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_released bigint;
    v_total bigint;
    v_pledge bigint;
    v_wallet bigint;
    v_bank bigint;
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM campaign.funders
        WHERE city_id = p_city AND programme_id = p_programme AND funder_id = p_funder
    ) THEN
        RETURN 'not_found';
    ELSIF EXISTS (
        SELECT 1 FROM ledger.funder_returns
        WHERE city_id = p_city AND programme_id = p_programme AND funder_id = p_funder
            AND state = 'proposed'
    ) THEN
        RETURN 'in_progress';
    END IF;
    PERFORM campaign.lock_money(p_city, p_programme);
    v_released := CASE WHEN p_budget
        THEN ledger.guarded_balance(p_city, p_programme, 'available:' || p_funder) ELSE 0 END;
    v_total := v_released + ledger.credit_balances(
        p_city, p_programme, ARRAY['return:' || p_funder]
    );
    IF v_total = 0 THEN
        RETURN 'nothing_to_return';
    END IF;
    v_pledge := greatest(0, least(v_total,
        ledger.guarded_balance(p_city, p_programme, 'pledge:' || p_funder)
        - campaign.committed_pledge(p_city, p_programme, p_funder)
    ));
    v_wallet := greatest(0, least(v_total - v_pledge, ledger.free_wallet(p_city, p_programme)));
    v_bank := v_total - v_pledge - v_wallet;
    IF v_bank > 0 AND v_bank > ledger.free_bank(p_city, p_programme) THEN
        RETURN 'insufficient_funds';
    END IF;
    INSERT INTO ledger.funder_returns (
        city_id, return_id, programme_id, funder_id, released_fen, pledge_fen, bank_fen, wallet_fen,
        state, proposed_at, proposed_by
    ) VALUES (
        p_city, p_return, p_programme, p_funder, v_released, v_pledge, v_bank, v_wallet,
        'proposed', campaign.now(), p_actor
    )
    ON CONFLICT (city_id, programme_id, funder_id) WHERE state = 'proposed' DO NOTHING;
    RETURN CASE WHEN FOUND THEN 'proposed' ELSE 'in_progress' END;
END
$$;

-- What the custody wallet holds beyond what the e-CNY drops may still have to pay.
CREATE OR REPLACE FUNCTION ledger.free_wallet(p_city smallint, p_programme uuid) RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ledger.guarded_balance(p_city, p_programme, 'wallet:main') - coalesce((
        SELECT ledger.credit_balances(p_city, p_programme, array_agg(
            format('%s:%s:%s', part.family, f.funder_id, d.drop_id)
        ))
        FROM campaign.drops AS d
        JOIN campaign.funders AS f
            ON f.city_id = d.city_id AND f.programme_id = d.programme_id
            AND NOT (d.absorbs AND f.kind = 'merchant_pool' AND f.mode = 'pledge')
        CROSS JOIN (VALUES ('reserved'), ('outstanding'), ('held')) AS part (family)
        WHERE d.city_id = p_city AND d.programme_id = p_programme AND d.rail = 'ecny'
    ), 0)::bigint
$$;

-- What the bank account holds beyond what merchants are owed (payable, transit), beyond what statements
-- had too much (J24, J25): that belongs to somebody, though nobody knows yet to whom; and beyond what
-- the drops of the bank rail may still have to pay. What a funder has promised for them and not paid
-- yet is to come, and not taken off.
CREATE OR REPLACE FUNCTION ledger.free_bank(p_city smallint, p_programme uuid) RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ledger.guarded_balance(p_city, p_programme, 'bank:main')
        - ledger.credit_balances(p_city, p_programme, (
            SELECT array_agg(a.code) FROM ledger.accounts AS a
            WHERE a.city_id = p_city AND a.programme_id = p_programme
                AND a.family IN ('payable', 'transit') AND a.code IS NOT NULL
        ))
        - greatest(0, ledger.credit_balances(
            p_city, p_programme, ARRAY['suspense_over:main', 'suspense_short:main']
        ))
        - coalesce((
            SELECT sum(greatest(0, live.amount_fen - live.promised_fen))
            FROM (
                SELECT ledger.credit_balances(p_city, p_programme, array_agg(
                        format('%s:%s:%s', part.family, f.funder_id, d.drop_id)
                    )) AS amount_fen,
                    ledger.guarded_balance(p_city, p_programme, 'pledge:' || f.funder_id)
                    - campaign.committed_pledge(p_city, p_programme, f.funder_id) AS promised_fen
                FROM campaign.drops AS d
                JOIN campaign.funders AS f
                    ON f.city_id = d.city_id AND f.programme_id = d.programme_id
                    AND NOT (d.absorbs AND f.kind = 'merchant_pool' AND f.mode = 'pledge')
                CROSS JOIN (VALUES ('reserved'), ('outstanding'), ('held')) AS part (family)
                WHERE d.city_id = p_city AND d.programme_id = p_programme AND d.rail = 'bank'
                GROUP BY f.funder_id
            ) AS live
        ), 0)::bigint
$$;

-- Approve a return (J33, J20, J19), or reject it.
-- outcome: 'approved', 'rejected', 'unchanged', 'not_found', 'same_person', 'decided',
-- 'insufficient_funds' (the money has moved since it was proposed: reject it and propose again).
CREATE OR REPLACE FUNCTION ledger.decide_return(
    p_city smallint, p_return uuid, p_decision text, p_actor text
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r ledger.funder_returns;
    v_now timestamptz;
BEGIN
    SELECT * INTO r FROM ledger.funder_returns
    WHERE city_id = p_city AND return_id = p_return
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'not_found';
    ELSIF r.state = p_decision THEN
        RETURN 'unchanged';
    ELSIF r.state <> 'proposed' THEN
        RETURN 'decided';
    ELSIF r.proposed_by = p_actor THEN
        RETURN 'same_person';
    ELSIF p_decision = 'approved' THEN
        PERFORM campaign.lock_money(p_city, r.programme_id);
        IF ledger.guarded_balance(p_city, r.programme_id, 'available:' || r.funder_id)
                < r.released_fen
            OR ledger.credit_balances(
                p_city, r.programme_id, ARRAY['return:' || r.funder_id]
            )
                < r.pledge_fen + r.bank_fen + r.wallet_fen - r.released_fen
            OR (
                r.pledge_fen > 0
                AND ledger.guarded_balance(p_city, r.programme_id, 'pledge:' || r.funder_id)
                    - campaign.committed_pledge(p_city, r.programme_id, r.funder_id) < r.pledge_fen
            )
            OR (r.bank_fen > 0 AND ledger.free_bank(p_city, r.programme_id) < r.bank_fen)
            OR (r.wallet_fen > 0 AND ledger.free_wallet(p_city, r.programme_id) < r.wallet_fen)
        THEN
            RETURN 'insufficient_funds';
        END IF;
        v_now := campaign.now();
        PERFORM ledger.post_return(r, p_actor, v_now);
    ELSIF p_decision <> 'rejected' THEN
        RAISE EXCEPTION 'a return is approved or rejected, not %', p_decision;
    END IF;
    UPDATE ledger.funder_returns SET
        state = p_decision, decided_at = coalesce(v_now, campaign.now()), decided_by = p_actor
    WHERE city_id = p_city AND return_id = p_return;
    RETURN p_decision;
END
$$;

CREATE OR REPLACE FUNCTION ledger.post_return(
    p_return ledger.funder_returns, p_actor text, p_at timestamptz
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_back text := 'return:' || p_return.funder_id;
    v_event text := p_return.return_id::text;
BEGIN
    IF p_return.released_fen > 0 THEN
        PERFORM ledger.post(
            p_return.city_id, p_return.programme_id, 'J33', v_event, NULL, p_actor, p_at,
            ARRAY['available:' || p_return.funder_id], ARRAY[v_back], ARRAY[p_return.released_fen]
        );
    END IF;
    IF p_return.pledge_fen > 0 THEN
        PERFORM ledger.post(
            p_return.city_id, p_return.programme_id, 'J20', v_event, NULL, p_actor, p_at,
            ARRAY[v_back], ARRAY['pledge:' || p_return.funder_id], ARRAY[p_return.pledge_fen]
        );
    END IF;
    IF p_return.bank_fen + p_return.wallet_fen > 0 THEN
        PERFORM ledger.post(
            p_return.city_id, p_return.programme_id, 'J19', v_event, NULL, p_actor, p_at,
            ARRAY[v_back, v_back], ARRAY['bank:main', 'wallet:main'],
            ARRAY[p_return.bank_fen, p_return.wallet_fen]
        );
    END IF;
END
$$;
