-- What the invariants and the audits read books by. Both views see what their reader may see.

-- The balance of every account that was ever moved, on its normal side, summed from the transfers.
CREATE OR REPLACE VIEW ledger.account_balances WITH (security_invoker = true) AS
SELECT a.city_id, a.programme_id, a.account_id, a.code, a.family, f.normal_side, f.guarded,
    sum(CASE f.normal_side WHEN 'debit' THEN moved.amount_fen ELSE -moved.amount_fen END)::bigint
        AS balance_fen
FROM (
    SELECT city_id, programme_id, debit_account_id AS account_id, sum(amount_fen) AS amount_fen
    FROM ledger.transfers
    GROUP BY city_id, programme_id, debit_account_id
    UNION ALL
    SELECT city_id, programme_id, credit_account_id, -sum(amount_fen)
    FROM ledger.transfers
    GROUP BY city_id, programme_id, credit_account_id
) AS moved
JOIN ledger.accounts AS a USING (city_id, programme_id, account_id)
JOIN ledger.account_families AS f USING (family)
GROUP BY a.city_id, a.programme_id, a.account_id, a.code, a.family, f.normal_side, f.guarded;

-- What each funder pays of one voucher of a kind; is_absorbed: by taking it off what the merchant is
-- paid.
CREATE OR REPLACE VIEW campaign.voucher_shares WITH (security_invoker = true) AS
SELECT k.city_id, d.programme_id, k.drop_id, d.rail, k.kind_id, k.count, k.face_fen, s.funder_id,
    s.amount_fen,
    coalesce(d.absorbs AND f.kind = 'merchant_pool' AND f.mode = 'pledge', false) AS is_absorbed
FROM campaign.voucher_kinds AS k
JOIN campaign.drops AS d USING (city_id, drop_id)
JOIN campaign.kind_shares AS s USING (city_id, drop_id, kind_id)
LEFT JOIN campaign.funders AS f USING (city_id, programme_id, funder_id)
WHERE s.amount_fen > 0;
