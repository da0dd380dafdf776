-- Merchants and terminals may be suspended at once. Every decision of a till takes its city's till
-- lock shared, and a change takes it alone: after a suspension returned, nothing of it commits.
CREATE OR REPLACE FUNCTION campaign.till_lock(p_city smallint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT hashtextextended('campaign.tills:' || p_city, 0)
$$;

-- Approve or suspend a merchant.
-- outcome: 'done', 'unchanged' (it was so already), 'not_found', 'wrong_state' (a suspended merchant
-- is not approved again), 'same_person' (who enrolled a merchant does not approve it).
CREATE OR REPLACE FUNCTION campaign.change_merchant(
    p_city smallint, p_merchant uuid, p_change text, p_actor text
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m campaign.merchants;
BEGIN
    PERFORM pg_advisory_xact_lock(campaign.till_lock(p_city));
    SELECT * INTO m FROM campaign.merchants
    WHERE city_id = p_city AND merchant_id = p_merchant
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'not_found';
    ELSIF p_change = 'suspend' THEN
        IF m.state = 'suspended' THEN
            RETURN 'unchanged';
        END IF;
        UPDATE campaign.merchants
        SET state = 'suspended', suspended_at = campaign.now(), suspended_by = p_actor
        WHERE city_id = p_city AND merchant_id = p_merchant;
        RETURN 'done';
    ELSIF p_change = 'approve' THEN
        IF m.state = 'active' THEN
            RETURN 'unchanged';
        ELSIF m.state <> 'pending' THEN
            RETURN 'wrong_state';
        ELSIF m.created_by = p_actor THEN
            RETURN 'same_person';
        END IF;
        UPDATE campaign.merchants
        SET state = 'active', approved_at = campaign.now(), approved_by = p_actor
        WHERE city_id = p_city AND merchant_id = p_merchant;
        RETURN 'done';
    END IF;
    RAISE EXCEPTION 'a merchant is approved or suspended, not %', p_change;
END
$$;

-- Suspend one terminal of a merchant. outcome: 'done', 'unchanged', 'not_found'.
CREATE OR REPLACE FUNCTION campaign.suspend_terminal(
    p_city smallint, p_merchant uuid, p_terminal uuid, p_actor text
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_state text;
BEGIN
    PERFORM pg_advisory_xact_lock(campaign.till_lock(p_city));
    SELECT state INTO v_state FROM campaign.terminals
    WHERE city_id = p_city AND terminal_id = p_terminal AND merchant_id = p_merchant
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'not_found';
    ELSIF v_state = 'suspended' THEN
        RETURN 'unchanged';
    END IF;
    UPDATE campaign.terminals
    SET state = 'suspended', suspended_at = campaign.now(), suspended_by = p_actor
    WHERE city_id = p_city AND terminal_id = p_terminal;
    RETURN 'done';
END
$$;
