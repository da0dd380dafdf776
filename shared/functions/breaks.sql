-- Breaks: a difference between a statement and the books is settled by two persons.

-- Propose what to do about a break: 'post' (J24, J25) or 'accept'.
-- outcome: 'proposed', 'unchanged', 'not_found', 'decided' (settled already), 'cleared' (it is found no
-- more), 'already_proposed' (otherwise, or by somebody else: reject that first, so that nobody
-- approves what has changed under their eyes), 'nothing_to_post'.
CREATE OR REPLACE FUNCTION ledger.propose_break(
    p_city smallint, p_break uuid, p_proposal text, p_reason text, p_actor text
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    b ledger.breaks;
BEGIN
    SELECT * INTO b FROM ledger.breaks
    WHERE city_id = p_city AND break_id = p_break
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'not_found';
    ELSIF b.state IN ('posted', 'accepted') THEN
        RETURN 'decided';
    ELSIF b.state = 'cleared' THEN
        RETURN 'cleared';
    ELSIF b.state = 'proposed' THEN
        RETURN CASE
            WHEN (b.proposal, b.reason, b.proposed_by) = (p_proposal, p_reason, p_actor)
                THEN 'unchanged'
            ELSE 'already_proposed'
        END;
    ELSIF p_proposal = 'post' AND b.difference_fen = 0 THEN
        RETURN 'nothing_to_post';
    END IF;
    UPDATE ledger.breaks SET
        state = 'proposed', proposal = p_proposal, reason = p_reason, proposed_at = campaign.now(),
        proposed_by = p_actor
    WHERE city_id = p_city AND break_id = p_break;
    RETURN 'proposed';
END
$$;

-- Reject what was proposed: the break is open again, nothing is booked.
-- outcome: 'open', 'unchanged' (nothing is proposed), 'not_found', 'decided', 'cleared'.
CREATE OR REPLACE FUNCTION ledger.reject_break(p_city smallint, p_break uuid) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_state text;
BEGIN
    SELECT state INTO v_state FROM ledger.breaks
    WHERE city_id = p_city AND break_id = p_break
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'not_found';
    ELSIF v_state <> 'proposed' THEN
        RETURN CASE v_state
            WHEN 'open' THEN 'unchanged' WHEN 'cleared' THEN 'cleared' ELSE 'decided'
        END;
    END IF;
    UPDATE ledger.breaks SET
        state = 'open', proposal = NULL, reason = NULL, proposed_at = NULL, proposed_by = NULL
    WHERE city_id = p_city AND break_id = p_break;
    RETURN 'open';
END
$$;

-- Book an approved break, or accept it as it is: J24 when the account has more than the books say
-- (长款), J25 when it has less (短款).
-- outcome: 'posted', 'accepted', 'unchanged', 'not_found', 'not_proposed', 'same_person',
-- 'insufficient_funds' (the books have less on the account than is missing, payouts under way aside).
CREATE OR REPLACE FUNCTION ledger.approve_break(p_city smallint, p_break uuid, p_actor text)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    b ledger.breaks;
    v_now timestamptz;
    v_journal uuid;
    v_state text;
BEGIN
    SELECT * INTO b FROM ledger.breaks
    WHERE city_id = p_city AND break_id = p_break
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'not_found';
    ELSIF b.state IN ('posted', 'accepted') THEN
        RETURN 'unchanged';
    ELSIF b.state <> 'proposed' THEN
        RETURN 'not_proposed';
    ELSIF b.proposed_by = p_actor THEN
        RETURN 'same_person';
    END IF;
    v_state := CASE b.proposal WHEN 'post' THEN 'posted' ELSE 'accepted' END;
    v_now := campaign.now();
    IF v_state = 'posted' THEN
        PERFORM ledger.lock_balances(p_city, b.programme_id, ARRAY[b.account]);
        IF b.difference_fen < 0
            AND ledger.spendable(p_city, b.programme_id, b.account) < -b.difference_fen
        THEN
            RETURN 'insufficient_funds';
        END IF;
        v_journal := ledger.post(
            p_city, b.programme_id, CASE WHEN b.difference_fen > 0 THEN 'J24' ELSE 'J25' END,
            p_break::text, NULL, p_actor, v_now,
            ARRAY[CASE WHEN b.difference_fen > 0 THEN b.account ELSE 'suspense_short:main' END],
            ARRAY[CASE WHEN b.difference_fen > 0 THEN 'suspense_over:main' ELSE b.account END],
            ARRAY[abs(b.difference_fen)]
        );
    END IF;
    UPDATE ledger.breaks
    SET state = v_state, approved_at = v_now, approved_by = p_actor, journal_id = v_journal
    WHERE city_id = p_city AND break_id = p_break;
    RETURN v_state;
END
$$;
