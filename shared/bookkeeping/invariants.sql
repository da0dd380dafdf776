-- What must hold of the books and of the claims behind them. Each query returns its offenders, so
-- an empty answer means sound. Every row begins with the city and names what is wrong by its ids.
--
-- A block is a line `-- name: …`, a description, and one statement; shared/bookkeeping/invariants.py
-- reads them. Counts and balances are taken from rows, never from the counters that they check.

-- name: I1_live_within_quota
-- No drop has more live claims than its quota.
SELECT d.city_id, d.drop_id, d.quota, count(*) AS live_claims
FROM campaign.drops AS d
JOIN claim.claims AS c USING (city_id, drop_id)
WHERE c.state = 'live'
GROUP BY d.city_id, d.drop_id, d.quota
HAVING count(*) > d.quota;

-- name: I1_live_is_counted
-- The drop's live counter is the number of its live claims.
SELECT d.city_id, d.drop_id, d.live AS counter, coalesce(counted.live_claims, 0) AS live_claims
FROM campaign.drops AS d
LEFT JOIN (
    SELECT city_id, drop_id, count(*) AS live_claims
    FROM claim.claims
    WHERE state = 'live'
    GROUP BY city_id, drop_id
) AS counted USING (city_id, drop_id)
WHERE d.live <> coalesce(counted.live_claims, 0);

-- name: I1_serials_gap_free
-- The serials of a drop are distinct and run from 1 to the drop's issued counter without a gap.
SELECT
    city_id, drop_id, d.issued, coalesce(counted.claims, 0) AS claims,
    coalesce(counted.distinct_serials, 0) AS distinct_serials,
    counted.first_serial, counted.last_serial
FROM campaign.drops AS d
FULL JOIN (
    SELECT
        city_id, drop_id, count(*) AS claims, count(DISTINCT serial) AS distinct_serials,
        min(serial) AS first_serial, max(serial) AS last_serial
    FROM claim.claims
    GROUP BY city_id, drop_id
) AS counted USING (city_id, drop_id)
WHERE d.issued IS NULL
    OR d.issued <> coalesce(counted.claims, 0)
    OR counted.claims <> counted.distinct_serials
    OR counted.first_serial <> 1
    OR counted.last_serial <> counted.claims;

-- name: I2_claims_within_limit
-- Nobody holds more claims of a drop than its limit; a released one counts unless it may be reclaimed.
SELECT held.city_id, held.drop_id, held.person_id, d.limit_per_holder, held.live_claims,
    held.released_claims
FROM (
    SELECT
        city_id, drop_id, person_id,
        count(*) FILTER (WHERE state = 'live') AS live_claims,
        count(*) FILTER (WHERE state <> 'live') AS released_claims
    FROM claim.claims
    GROUP BY city_id, drop_id, person_id
) AS held
JOIN campaign.drops AS d USING (city_id, drop_id)
WHERE held.live_claims
    + CASE WHEN d.reclaim_after_release THEN 0 ELSE held.released_claims END > d.limit_per_holder;

-- name: I2_ordinals_within_limit
-- A claim's ordinal lies between 1 and the drop's limit.
SELECT c.city_id, c.drop_id, c.claim_id, c.ordinal, d.limit_per_holder
FROM claim.claims AS c
JOIN campaign.drops AS d USING (city_id, drop_id)
WHERE c.ordinal NOT BETWEEN 1 AND d.limit_per_holder;

-- name: I2_one_claim_per_request
-- One request of one person has at most one live claim: sending it again gave the same claim.
SELECT city_id, drop_id, person_id, request_key, count(*) AS live_claims
FROM claim.claims
WHERE state = 'live'
GROUP BY city_id, drop_id, person_id, request_key
HAVING count(*) > 1;

-- name: I2_claims_have_persons
-- Every claim belongs to a person.
SELECT c.city_id, c.drop_id, c.claim_id, c.person_id
FROM claim.claims AS c
LEFT JOIN claim.persons AS p USING (city_id, person_id)
WHERE p.person_id IS NULL;

-- name: I4_draws_within_face
-- What is drawn on a voucher and not given back never exceeds its face, and is what its row says.
SELECT city_id, claim_id, position, v.state, v.face_fen, v.remaining_fen, v.held_fen,
    coalesce(r.held_fen, 0) AS drawn_held_fen, coalesce(r.captured_fen, 0) AS drawn_captured_fen
FROM redeem.vouchers AS v
FULL JOIN (
    SELECT city_id, claim_id, position, max(draw_seq) AS draws,
        sum(amount_fen) FILTER (WHERE ended_at IS NULL AND captured_at IS NULL) AS held_fen,
        sum(amount_fen) FILTER (WHERE ended_at IS NULL AND captured_at IS NOT NULL) AS captured_fen
    FROM redeem.redemptions
    GROUP BY city_id, claim_id, position
) AS r USING (city_id, claim_id, position)
WHERE v.face_fen IS NULL
    OR coalesce(r.held_fen, 0) <> v.held_fen
    OR coalesce(r.draws, 0) <> v.draw_seq
    OR coalesce(r.captured_fen, 0) <> CASE v.state
        WHEN 'expired' THEN 0 WHEN 'void' THEN 0 ELSE v.face_fen - v.remaining_fen - v.held_fen
    END;

-- name: I4_one_live_redemption
-- A voucher has at most one redemption that was not given back.
SELECT city_id, claim_id, position, count(*) AS live_redemptions
FROM redeem.redemptions
WHERE ended_at IS NULL
GROUP BY city_id, claim_id, position
HAVING count(*) > 1;

-- name: I4_vouchers_belong_to_claims
-- A voucher's row is of its claim's pack: its drop, its kind and face, its end. A voided claim's
-- vouchers are void.
SELECT v.city_id, v.claim_id, v.position, v.state, c.state AS claim_state, v.kind_id, k.kind_id
    AS kind_at_position
FROM redeem.vouchers AS v
LEFT JOIN claim.claims AS c USING (city_id, claim_id)
LEFT JOIN (
    SELECT city_id, drop_id, kind_id, face_fen, valid_days, valid_until,
        sum(count) OVER (PARTITION BY city_id, drop_id ORDER BY position) - count AS first_position,
        sum(count) OVER (PARTITION BY city_id, drop_id ORDER BY position) AS next_position
    FROM campaign.voucher_kinds
) AS k
    ON k.city_id = v.city_id AND k.drop_id = v.drop_id
    AND v.position >= k.first_position AND v.position < k.next_position
WHERE c.drop_id IS DISTINCT FROM v.drop_id
    OR k.kind_id IS DISTINCT FROM v.kind_id
    OR k.face_fen IS DISTINCT FROM v.face_fen
    OR claim.valid_until(c.claimed_at, k.valid_days, k.valid_until) IS DISTINCT FROM v.valid_until
    OR (c.state = 'released') IS DISTINCT FROM (v.state = 'void');

-- name: I4_redemptions_keep_the_terms
-- A redemption was made by an enrolled till before the voucher's end, on an order that reaches the
-- minimum, for the voucher's whole face, and under a request that says so.
SELECT r.city_id, r.redemption_id, r.claim_id, r.position, r.amount_fen, r.order_amount_fen
FROM redeem.redemptions AS r
LEFT JOIN redeem.vouchers AS v USING (city_id, claim_id, position)
LEFT JOIN campaign.voucher_kinds AS k
    ON k.city_id = r.city_id AND k.drop_id = r.drop_id AND k.kind_id = r.kind_id
LEFT JOIN campaign.drops AS d ON d.city_id = r.city_id AND d.drop_id = r.drop_id
LEFT JOIN campaign.terminals AS t ON t.city_id = r.city_id AND t.terminal_id = r.terminal_id
LEFT JOIN redeem.requests AS q
    ON q.city_id = r.city_id AND q.terminal_id = r.terminal_id AND q.request_no = r.request_no
LEFT JOIN (
    SELECT city_id, drop_id, kind_id, sum(amount_fen) FILTER (WHERE is_absorbed) AS absorbed_fen
    FROM campaign.voucher_shares
    GROUP BY city_id, drop_id, kind_id
) AS s ON s.city_id = r.city_id AND s.drop_id = r.drop_id AND s.kind_id = r.kind_id
WHERE r.amount_fen IS DISTINCT FROM k.face_fen
    OR r.absorbed_fen IS DISTINCT FROM coalesce(s.absorbed_fen, 0)
    OR r.order_amount_fen < k.min_spend_fen
    OR r.category IS DISTINCT FROM k.category
    OR (v.drop_id, v.kind_id) IS DISTINCT FROM (r.drop_id, r.kind_id)
    OR (d.programme_id, d.rail) IS DISTINCT FROM (r.programme_id, r.rail)
    OR t.merchant_id IS DISTINCT FROM r.merchant_id
    OR r.created_at >= v.valid_until
    OR q.redemption_id IS DISTINCT FROM r.redemption_id;

-- name: I5_journals_are_whole
-- A journal has transfers, their lines numbered from 1 without a gap.
SELECT j.city_id, j.journal_id, j.kind, j.event, coalesce(l.lines, 0) AS lines, l.last_line
FROM ledger.journals AS j
LEFT JOIN (
    SELECT city_id, journal_id, count(*) AS lines, max(line) AS last_line
    FROM ledger.transfers
    GROUP BY city_id, journal_id
) AS l USING (city_id, journal_id)
WHERE l.lines IS NULL OR l.lines <> l.last_line;

-- name: I5_transfers_have_journals
-- Every transfer belongs to a journal of its own book.
SELECT t.city_id, t.journal_id, t.line, t.programme_id, j.programme_id AS journal_programme_id
FROM ledger.transfers AS t
LEFT JOIN ledger.journals AS j USING (city_id, journal_id)
WHERE j.programme_id IS DISTINCT FROM t.programme_id;

-- name: I5_transfers_move_money
-- A transfer moves a positive amount between two different accounts.
SELECT city_id, journal_id, line, debit_account_id, credit_account_id, amount_fen
FROM ledger.transfers
WHERE amount_fen <= 0 OR debit_account_id = credit_account_id;

-- name: I5_transfers_stay_in_their_book
-- Both accounts of a transfer belong to the book of its programme.
SELECT t.city_id, t.journal_id, t.line, t.programme_id,
    CASE WHEN debit.account_id IS NULL THEN t.debit_account_id END AS debit_account_elsewhere,
    CASE WHEN credit.account_id IS NULL THEN t.credit_account_id END AS credit_account_elsewhere
FROM ledger.transfers AS t
LEFT JOIN ledger.accounts AS debit
    ON debit.city_id = t.city_id AND debit.programme_id = t.programme_id
    AND debit.account_id = t.debit_account_id
LEFT JOIN ledger.accounts AS credit
    ON credit.city_id = t.city_id AND credit.programme_id = t.programme_id
    AND credit.account_id = t.credit_account_id
WHERE debit.account_id IS NULL OR credit.account_id IS NULL;

-- name: I5_books_balance
-- In every book the debit balances of all accounts equal the credit balances.
SELECT city_id, programme_id,
    coalesce(sum(balance_fen) FILTER (WHERE normal_side = 'debit'), 0)::bigint AS debit_fen,
    coalesce(sum(balance_fen) FILTER (WHERE normal_side = 'credit'), 0)::bigint AS credit_fen
FROM ledger.account_balances
GROUP BY city_id, programme_id
HAVING sum(CASE normal_side WHEN 'debit' THEN balance_fen ELSE -balance_fen END) <> 0;

-- name: I6_no_account_is_overdrawn
-- No account is below zero on its normal side.
SELECT city_id, programme_id, code, normal_side, balance_fen
FROM ledger.account_balances
WHERE balance_fen < 0;

-- name: I6_guarded_balances_match
-- The balance row of a guarded account is what its transfers sum to; no other account has one.
SELECT city_id, programme_id, account_id, computed.code,
    computed.balance_fen AS expected_fen, kept.balance_fen AS found_fen
FROM (SELECT * FROM ledger.account_balances WHERE guarded) AS computed
FULL JOIN ledger.balances AS kept USING (city_id, programme_id, account_id)
WHERE kept.balance_fen IS DISTINCT FROM coalesce(computed.balance_fen, 0);

-- name: I7_funder_shares_are_whole
-- The shares of a programme's funders sum to 10,000 basis points.
SELECT p.city_id, p.programme_id, coalesce(sum(f.share_bp), 0) AS share_bp
FROM campaign.programmes AS p
LEFT JOIN campaign.funders AS f USING (city_id, programme_id)
GROUP BY p.city_id, p.programme_id
HAVING coalesce(sum(f.share_bp), 0) <> 10000;

-- name: I7_kind_shares_sum_to_face
-- What the funders pay of one voucher sums to its face.
SELECT k.city_id, k.drop_id, k.kind_id, k.face_fen, coalesce(sum(s.amount_fen), 0)::bigint AS shares_fen
FROM campaign.voucher_kinds AS k
LEFT JOIN campaign.kind_shares AS s USING (city_id, drop_id, kind_id)
GROUP BY k.city_id, k.drop_id, k.kind_id, k.face_fen
HAVING coalesce(sum(s.amount_fen), 0) <> k.face_fen;

-- name: I7_kind_shares_follow_funders
-- Each funder of the programme, and nobody else, pays its share of every face to within one fen.
WITH due AS (
    SELECT k.city_id, k.drop_id, k.kind_id, f.funder_id, k.face_fen::numeric * f.share_bp AS share
    FROM campaign.voucher_kinds AS k
    JOIN campaign.drops AS d USING (city_id, drop_id)
    JOIN campaign.funders AS f USING (city_id, programme_id)
)
SELECT city_id, drop_id, kind_id, funder_id, round(due.share / 10000, 2) AS exact_share_fen,
    paid.amount_fen
FROM due
FULL JOIN campaign.kind_shares AS paid USING (city_id, drop_id, kind_id, funder_id)
WHERE due.share IS NULL
    OR abs(due.share - 10000 * coalesce(paid.amount_fen, 0)) >= 10000;

-- name: I7_pack_face_is_its_kinds
-- The face of a pack is the sum of its vouchers' faces.
SELECT d.city_id, d.drop_id, d.pack_face_fen,
    coalesce(sum(k.count * k.face_fen), 0)::bigint AS kinds_fen
FROM campaign.drops AS d
LEFT JOIN campaign.voucher_kinds AS k USING (city_id, drop_id)
GROUP BY d.city_id, d.drop_id, d.pack_face_fen
HAVING coalesce(sum(k.count * k.face_fen), 0) <> d.pack_face_fen;

-- name: I7_outstanding_is_unused_vouchers
-- Outstanding of a funder and drop is its part of the live claims' vouchers that are neither held,
-- redeemed nor expired.
SELECT city_id, programme_id, code, coalesce(subledger.balance_fen, 0) AS expected_fen,
    coalesce(control.balance_fen, 0) AS found_fen
FROM (
    SELECT s.city_id, s.programme_id,
        concat_ws(':', 'outstanding', s.funder_id, s.drop_id) AS code,
        sum(s.amount_fen * (
            coalesce(c.live_claims, 0) * s.count - coalesce(v.spent, 0) - coalesce(e.untouched, 0)
        ))::bigint AS balance_fen
    FROM campaign.voucher_shares AS s
    LEFT JOIN (
        SELECT city_id, drop_id, count(*) AS live_claims
        FROM claim.claims
        WHERE state = 'live'
        GROUP BY city_id, drop_id
    ) AS c USING (city_id, drop_id)
    LEFT JOIN (
        SELECT city_id, drop_id, kind_id, count(*) AS spent
        FROM redeem.vouchers
        WHERE state IN ('held', 'redeemed', 'expired')
        GROUP BY city_id, drop_id, kind_id
    ) AS v USING (city_id, drop_id, kind_id)
    LEFT JOIN (
        SELECT city_id, drop_id, kind_id, sum(untouched)::bigint AS untouched
        FROM redeem.expiries
        GROUP BY city_id, drop_id, kind_id
    ) AS e USING (city_id, drop_id, kind_id)
    GROUP BY s.city_id, s.programme_id, s.funder_id, s.drop_id
) AS subledger
FULL JOIN (
    SELECT city_id, programme_id, code, balance_fen
    FROM ledger.account_balances
    WHERE family = 'outstanding'
) AS control USING (city_id, programme_id, code)
WHERE coalesce(subledger.balance_fen, 0) <> coalesce(control.balance_fen, 0);

-- name: I7_reserved_is_unclaimed_packs
-- Reserved of a funder and drop is the funder's part of the unclaimed packs on sale, and else nothing.
SELECT city_id, programme_id, code, coalesce(subledger.balance_fen, 0) AS expected_fen,
    coalesce(control.balance_fen, 0) AS found_fen
FROM (
    SELECT d.city_id, d.programme_id, concat_ws(':', 'reserved', s.funder_id, d.drop_id) AS code,
        (d.quota - coalesce(c.live_claims, 0)) * sum(s.count * s.amount_fen)::bigint AS balance_fen
    FROM campaign.drops AS d
    JOIN campaign.voucher_shares AS s USING (city_id, drop_id)
    LEFT JOIN (
        SELECT city_id, drop_id, count(*) AS live_claims
        FROM claim.claims
        WHERE state = 'live'
        GROUP BY city_id, drop_id
    ) AS c USING (city_id, drop_id)
    WHERE d.state IN ('live', 'paused')
    GROUP BY d.city_id, d.programme_id, d.drop_id, d.quota, s.funder_id, c.live_claims
) AS subledger
FULL JOIN (
    SELECT city_id, programme_id, code, balance_fen
    FROM ledger.account_balances
    WHERE family = 'reserved'
) AS control USING (city_id, programme_id, code)
WHERE coalesce(subledger.balance_fen, 0) <> coalesce(control.balance_fen, 0);

-- name: I7_held_is_held_vouchers
-- Held of a funder and drop is its part of the vouchers that are held.
SELECT city_id, programme_id, code, coalesce(subledger.balance_fen, 0) AS expected_fen,
    coalesce(control.balance_fen, 0) AS found_fen
FROM (
    SELECT v.city_id, s.programme_id, concat_ws(':', 'held', s.funder_id, v.drop_id) AS code,
        sum(s.amount_fen)::bigint AS balance_fen
    FROM redeem.vouchers AS v
    JOIN campaign.voucher_shares AS s USING (city_id, drop_id, kind_id)
    WHERE v.state = 'held'
    GROUP BY v.city_id, s.programme_id, s.funder_id, v.drop_id
) AS subledger
FULL JOIN (
    SELECT city_id, programme_id, code, balance_fen
    FROM ledger.account_balances
    WHERE family = 'held'
) AS control USING (city_id, programme_id, code)
WHERE coalesce(subledger.balance_fen, 0) <> coalesce(control.balance_fen, 0);

-- name: I7_payable_is_unpaid_captures
-- Payable of a merchant is what its bank-rail captures brought, less what was reversed before
-- settlement and what payouts have taken.
SELECT city_id, programme_id, code, coalesce(subledger.balance_fen, 0) AS expected_fen,
    coalesce(control.balance_fen, 0) AS found_fen
FROM (
    SELECT city_id, programme_id, 'payable:' || merchant_id AS code,
        sum(due_fen)::bigint AS balance_fen
    FROM (
        SELECT r.city_id, r.programme_id, r.merchant_id,
            CASE WHEN r.ended_kind IN ('J21', 'J22') THEN 0 ELSE r.amount_fen - r.absorbed_fen END
                AS due_fen
        FROM redeem.redemptions AS r
        WHERE r.captured_kind = 'J10'
        UNION ALL
        SELECT city_id, programme_id, merchant_id, -(amount_fen + netted_fen)
        FROM ledger.payouts
        WHERE state <> 'rejected'
    ) AS due
    GROUP BY city_id, programme_id, merchant_id
) AS subledger
FULL JOIN (
    SELECT city_id, programme_id, code, balance_fen
    FROM ledger.account_balances
    WHERE family = 'payable'
) AS control USING (city_id, programme_id, code)
WHERE coalesce(subledger.balance_fen, 0) <> coalesce(control.balance_fen, 0);

-- name: I7_merchant_recv_is_clawed_back
-- A merchant owes what was reversed after settlement, less what payouts have netted.
SELECT city_id, programme_id, code, coalesce(subledger.balance_fen, 0) AS expected_fen,
    coalesce(control.balance_fen, 0) AS found_fen
FROM (
    SELECT city_id, programme_id, 'merchant_recv:' || merchant_id AS code,
        sum(owed_fen)::bigint AS balance_fen
    FROM (
        SELECT city_id, programme_id, merchant_id, amount_fen - absorbed_fen AS owed_fen
        FROM redeem.redemptions
        WHERE ended_kind = 'J23'
        UNION ALL
        SELECT city_id, programme_id, merchant_id, -netted_fen
        FROM ledger.payouts
        WHERE state <> 'rejected'
    ) AS owed
    GROUP BY city_id, programme_id, merchant_id
) AS subledger
FULL JOIN (
    SELECT city_id, programme_id, code, balance_fen
    FROM ledger.account_balances
    WHERE family = 'merchant_recv'
) AS control USING (city_id, programme_id, code)
WHERE coalesce(subledger.balance_fen, 0) <> coalesce(control.balance_fen, 0);

-- name: I7_transit_is_payouts_under_way
-- In transit of a batch are its payouts that were cut and have not ended.
SELECT city_id, programme_id, code, coalesce(subledger.balance_fen, 0) AS expected_fen,
    coalesce(control.balance_fen, 0) AS found_fen
FROM (
    SELECT city_id, programme_id, 'transit:' || batch_id AS code, sum(amount_fen)::bigint AS balance_fen
    FROM ledger.payouts
    WHERE state IN ('cut', 'open')
    GROUP BY city_id, programme_id, batch_id
) AS subledger
FULL JOIN (
    SELECT city_id, programme_id, code, balance_fen
    FROM ledger.account_balances
    WHERE family = 'transit'
) AS control USING (city_id, programme_id, code)
WHERE coalesce(subledger.balance_fen, 0) <> coalesce(control.balance_fen, 0);

-- name: I7_payouts_are_their_records
-- A payout pays and nets exactly its settlement records, and a batch its payouts.
SELECT p.city_id, p.batch_id::text AS batch_id, p.payout_id::text AS payout_id,
    p.amount_fen + p.netted_fen AS expected_fen, coalesce(items.due_fen, 0) AS found_fen
FROM ledger.payouts AS p
LEFT JOIN (
    SELECT i.city_id, i.payout_id,
        sum(CASE s.record_type WHEN 'REDEEM' THEN s.net_fen ELSE -s.net_fen END)::bigint AS due_fen
    FROM ledger.payout_items AS i
    JOIN ledger.settlement_records AS s USING (city_id, settlement_id)
    GROUP BY i.city_id, i.payout_id
) AS items USING (city_id, payout_id)
WHERE p.amount_fen + p.netted_fen <> coalesce(items.due_fen, 0)
UNION ALL
SELECT b.city_id, b.batch_id::text, NULL, b.amount_fen, coalesce(sum(p.amount_fen), 0)::bigint
FROM ledger.settlement_batches AS b
LEFT JOIN ledger.payouts AS p USING (city_id, batch_id)
GROUP BY b.city_id, b.batch_id, b.amount_fen, b.payouts
HAVING b.amount_fen <> coalesce(sum(p.amount_fen), 0) OR b.payouts <> count(p.payout_id);

-- name: I7_suspense_is_posted_breaks
-- What is over or short in a book is what two persons have posted of its breaks.
SELECT city_id, programme_id, code, coalesce(subledger.balance_fen, 0) AS expected_fen,
    coalesce(control.balance_fen, 0) AS found_fen
FROM (
    SELECT city_id, programme_id,
        CASE WHEN difference_fen > 0 THEN 'suspense_over:main' ELSE 'suspense_short:main' END AS code,
        sum(abs(difference_fen))::bigint AS balance_fen
    FROM ledger.breaks
    WHERE state = 'posted'
    GROUP BY 1, 2, 3
) AS subledger
FULL JOIN (
    SELECT city_id, programme_id, code, balance_fen
    FROM ledger.account_balances
    WHERE family IN ('suspense_over', 'suspense_short')
) AS control USING (city_id, programme_id, code)
WHERE coalesce(subledger.balance_fen, 0) <> coalesce(control.balance_fen, 0);

-- name: I7_expiries_are_exact
-- A cohort expired exactly the vouchers of its live claims that nobody had touched, and no claim was
-- voided or voucher touched behind its back.
SELECT e.city_id, e.drop_id, e.kind_id, e.valid_until, e.untouched AS found,
    coalesce(c.live_claims, 0) * k.count - coalesce(v.known, 0) AS expected,
    e.amount_fen - (e.untouched + e.touched) * k.face_fen AS amount_off_by_fen
FROM redeem.expiries AS e
JOIN (
    SELECT city_id, drop_id, kind_id, count, face_fen FROM campaign.voucher_kinds
) AS k USING (city_id, drop_id, kind_id)
LEFT JOIN (
    SELECT c.city_id, c.drop_id, k.kind_id,
        claim.valid_until(c.claimed_at, k.valid_days, k.valid_until) AS valid_until,
        count(*) AS live_claims
    FROM claim.claims AS c
    JOIN campaign.voucher_kinds AS k USING (city_id, drop_id)
    WHERE c.state = 'live'
    GROUP BY 1, 2, 3, 4
) AS c USING (city_id, drop_id, kind_id, valid_until)
LEFT JOIN (
    SELECT city_id, drop_id, kind_id, valid_until, count(*) AS known
    FROM redeem.vouchers
    WHERE state <> 'void'
    GROUP BY 1, 2, 3, 4
) AS v USING (city_id, drop_id, kind_id, valid_until)
WHERE e.untouched <> coalesce(c.live_claims, 0) * k.count - coalesce(v.known, 0)
    OR e.amount_fen <> (e.untouched + e.touched) * k.face_fen
    OR e.expired_at < e.valid_until;

-- name: I7_cohorts_know_their_expiry
-- A cohort says that it has expired exactly when an expiry says so, and is due until then.
SELECT city_id, drop_id, kind_id, valid_until, k.expired AS found, e.expired_at
FROM claim.expiry_cohorts AS k
FULL JOIN redeem.expiries AS e USING (city_id, drop_id, kind_id, valid_until)
WHERE k.expired IS DISTINCT FROM (e.expired_at IS NOT NULL);

-- name: I7_custody_follows_the_drops
-- The custody moves of an e-CNY drop are what its packs reserved, less what left it again, in cash;
-- other drops have none.
WITH cash AS (
    SELECT city_id, drop_id, rail,
        coalesce(sum(count * amount_fen) FILTER (WHERE NOT is_absorbed), 0)::bigint AS pack_fen
    FROM campaign.voucher_shares
    GROUP BY city_id, drop_id, rail
),
packs AS (
    SELECT city_id, drop_id, sum(packs)::bigint AS packs
    FROM (
        SELECT city_id, drop_id, packs_reserved AS packs FROM campaign.drop_changes
        UNION ALL
        SELECT city_id, drop_id, -1 FROM claim.claim_releases WHERE journal_kind = 'J7b'
    ) AS moved
    GROUP BY city_id, drop_id
),
moved AS (
    SELECT city_id, drop_id,
        sum(CASE direction WHEN 'to_wallet' THEN amount_fen ELSE -amount_fen END)::bigint AS amount_fen
    FROM ledger.custody_moves
    GROUP BY city_id, drop_id
)
SELECT city_id, drop_id, coalesce(moved.amount_fen, 0) AS found_fen,
    CASE WHEN cash.rail = 'ecny' THEN coalesce(packs.packs, 0) * cash.pack_fen ELSE 0 END
        AS expected_fen
FROM cash
FULL JOIN moved USING (city_id, drop_id)
LEFT JOIN packs USING (city_id, drop_id)
WHERE coalesce(moved.amount_fen, 0)
    <> CASE WHEN cash.rail = 'ecny' THEN coalesce(packs.packs, 0) * cash.pack_fen ELSE 0 END;

-- name: I8_funded_is_accounted_for
-- What a funder paid or promised is available, reserved, outstanding, held, redeemed, owed back to
-- it, or returned.
WITH funded AS (
    SELECT city_id, programme_id, funder_id, sum(amount_fen)::bigint AS amount_fen
    FROM campaign.fundings
    WHERE journal_kind IN ('J1', 'J2')
    GROUP BY city_id, programme_id, funder_id
),
found AS (
    SELECT city_id, programme_id, funder_id, sum(amount_fen)::bigint AS amount_fen
    FROM (
        SELECT city_id, programme_id, split_part(code, ':', 2) AS funder_id,
            balance_fen AS amount_fen
        FROM ledger.account_balances
        WHERE family IN ('available', 'reserved', 'outstanding', 'held', 'return')
        UNION ALL
        SELECT r.city_id, r.programme_id, s.funder_id, s.amount_fen
        FROM redeem.redemptions AS r
        JOIN campaign.voucher_shares AS s USING (city_id, drop_id, kind_id)
        WHERE r.captured_at IS NOT NULL AND r.ended_at IS NULL
        UNION ALL
        SELECT city_id, programme_id, funder_id, pledge_fen + bank_fen + wallet_fen
        FROM ledger.funder_returns
        WHERE state = 'approved'
    ) AS part
    GROUP BY city_id, programme_id, funder_id
)
SELECT city_id, programme_id, funder_id, coalesce(funded.amount_fen, 0) AS expected_fen,
    coalesce(found.amount_fen, 0) AS found_fen
FROM funded
FULL JOIN found USING (city_id, programme_id, funder_id)
WHERE coalesce(funded.amount_fen, 0) <> coalesce(found.amount_fen, 0);

-- name: I9_events_have_their_journals
-- Every event has one journal, of its book, drop, time and actor, and every journal its event.
WITH events AS (
    SELECT city_id, journal_kind AS kind, funding_id::text AS event, programme_id,
        NULL::uuid AS drop_id, created_at AS happened_at, created_by AS actor
    FROM campaign.fundings
    UNION ALL
    SELECT c.city_id, CASE WHEN c.packs_reserved > 0 THEN 'J4' ELSE 'J5' END,
        concat_ws(':', c.drop_id, c.version), d.programme_id, c.drop_id, c.changed_at, c.actor
    FROM campaign.drop_changes AS c
    JOIN campaign.drops AS d USING (city_id, drop_id)
    WHERE c.packs_reserved <> 0
    UNION ALL
    SELECT b.city_id, 'J6', concat_ws(':', b.drop_id, b.version), d.programme_id, b.drop_id,
        b.claimed_at, 'claim'
    FROM (
        SELECT city_id, drop_id, version,
            CASE WHEN min(claimed_at) = max(claimed_at) THEN min(claimed_at) END AS claimed_at
        FROM claim.claims
        GROUP BY city_id, drop_id, version
    ) AS b
    JOIN campaign.drops AS d USING (city_id, drop_id)
    UNION ALL
    SELECT r.city_id, r.journal_kind, r.claim_id::text, d.programme_id, r.drop_id, r.released_at,
        r.actor
    FROM claim.claim_releases AS r
    JOIN campaign.drops AS d USING (city_id, drop_id)
    UNION ALL
    SELECT r.city_id, step.kind, r.redemption_id::text, r.programme_id, r.drop_id, step.at,
        step.actor
    FROM redeem.redemptions AS r
    CROSS JOIN LATERAL (
        VALUES ('J8', r.held_at, 'terminal:' || r.terminal_id),
            (r.captured_kind, r.captured_at, r.captured_by),
            (CASE WHEN r.captured_kind = 'J10' AND r.absorbed_fen > 0 THEN 'J11' END,
                r.captured_at, r.captured_by),
            (r.ended_kind, r.ended_at, r.ended_by)
    ) AS step (kind, at, actor)
    WHERE step.kind IS NOT NULL AND step.at IS NOT NULL
    UNION ALL
    SELECT city_id, 'J18', concat_ws(':', drop_id, kind_id, extract(epoch FROM valid_until)::bigint),
        programme_id, drop_id, expired_at, 'expiry'
    FROM redeem.expiries
    WHERE untouched + touched > 0
    UNION ALL
    SELECT p.city_id, step.kind, p.payout_id::text, p.programme_id, NULL, step.at, step.actor
    FROM ledger.payouts AS p
    JOIN ledger.settlement_batches AS b USING (city_id, batch_id)
    CROSS JOIN LATERAL (
        VALUES (CASE WHEN p.netted_fen > 0 THEN 'J13' END, b.created_at, b.created_by),
            (CASE WHEN p.amount_fen > 0 THEN 'J14' END, b.created_at, b.created_by),
            (CASE WHEN p.state = 'rejected' THEN 'J16'
                WHEN p.state = 'confirmed' AND p.amount_fen > 0 THEN 'J15' END,
                p.ended_at, p.ended_by)
    ) AS step (kind, at, actor)
    WHERE step.kind IS NOT NULL
    UNION ALL
    SELECT r.city_id, part.kind, r.return_id::text, r.programme_id, NULL, r.decided_at, r.decided_by
    FROM ledger.funder_returns AS r
    CROSS JOIN LATERAL (
        VALUES ('J33', r.released_fen), ('J20', r.pledge_fen), ('J19', r.bank_fen + r.wallet_fen)
    ) AS part (kind, amount_fen)
    WHERE r.state = 'approved' AND part.amount_fen > 0
    UNION ALL
    SELECT city_id, 'J32', move_id::text, programme_id, drop_id, moved_at, actor
    FROM ledger.custody_moves
    UNION ALL
    SELECT city_id, CASE WHEN difference_fen > 0 THEN 'J24' ELSE 'J25' END, break_id::text,
        programme_id, NULL, approved_at, approved_by
    FROM ledger.breaks
    WHERE state = 'posted'
),
journals AS (
    SELECT city_id, kind, event, count(*) AS journals,
        min(journal_id::text) AS journal_id,
        bool_and(accounting_date = ledger.accounting_date(posted_at)) AS is_dated,
        min(programme_id::text) AS programme_id, min(drop_id::text) AS drop_id,
        min(posted_at) AS posted_at, min(actor) AS actor
    FROM ledger.journals
    GROUP BY city_id, kind, event
)
SELECT city_id, kind, event, j.journal_id, coalesce(j.journals, 0) AS journals,
    concat_ws(', ',
        CASE WHEN j.journals IS NULL THEN 'no journal' END,
        CASE WHEN e.happened_at IS NULL AND e.programme_id IS NULL THEN 'no event' END,
        CASE WHEN j.journals > 1 THEN 'booked more than once' END,
        CASE WHEN e.programme_id::text <> j.programme_id THEN 'another programme' END,
        CASE WHEN e.programme_id IS NOT NULL AND j.journals IS NOT NULL
            AND e.drop_id::text IS DISTINCT FROM j.drop_id THEN 'another drop' END,
        CASE WHEN e.programme_id IS NOT NULL AND j.journals IS NOT NULL
            AND e.happened_at IS DISTINCT FROM j.posted_at THEN 'another time' END,
        CASE WHEN NOT j.is_dated THEN 'another accounting day' END,
        CASE WHEN e.actor <> j.actor THEN 'another actor' END
    ) AS wrong
FROM events AS e
FULL JOIN journals AS j USING (city_id, kind, event)
WHERE e.programme_id IS NULL OR j.journals IS DISTINCT FROM 1 OR NOT j.is_dated
    OR (e.programme_id::text, e.drop_id::text, e.happened_at, e.actor)
        IS DISTINCT FROM (j.programme_id, j.drop_id, j.posted_at, j.actor);

-- name: I9_amounts_follow_from_events
-- Every journal moves, between the accounts of its kind, what its event's rows amount to.
WITH pack_share AS (
    SELECT city_id, drop_id, funder_id, sum(count * amount_fen)::bigint AS share_fen
    FROM campaign.voucher_shares
    GROUP BY city_id, drop_id, funder_id
),
-- Each event that moves packs of a drop, and between which families.
moves AS (
    SELECT city_id, drop_id, CASE WHEN packs_reserved > 0 THEN 'J4' ELSE 'J5' END AS kind,
        concat_ws(':', drop_id, version) AS event, abs(packs_reserved)::bigint AS packs
    FROM campaign.drop_changes
    WHERE packs_reserved <> 0
    UNION ALL
    SELECT city_id, drop_id, 'J6', concat_ws(':', drop_id, version), count(*)
    FROM claim.claims
    GROUP BY city_id, drop_id, version
    UNION ALL
    SELECT city_id, drop_id, journal_kind, claim_id::text, 1
    FROM claim.claim_releases
),
ways (kind, debit_family, credit_family) AS (
    VALUES ('J4', 'available', 'reserved'), ('J5', 'reserved', 'available'),
        ('J6', 'reserved', 'outstanding'), ('J7a', 'outstanding', 'reserved'),
        ('J7b', 'outstanding', 'available')
),
-- The names of accounts are put together once for each kind and redemption, not for each line.
share AS MATERIALIZED (
    SELECT city_id, drop_id, kind_id, amount_fen, is_absorbed,
        concat_ws(':', 'outstanding', funder_id, drop_id) AS outstanding,
        concat_ws(':', 'held', funder_id, drop_id) AS held,
        'pledge:' || funder_id AS pledge, 'return:' || funder_id AS back
    FROM campaign.voucher_shares
),
redemption AS MATERIALIZED (
    SELECT city_id, drop_id, kind_id, held_at, captured_kind, ended_kind, ended_into,
        redemption_id::text AS event, 'payable:' || merchant_id AS payable,
        'merchant_recv:' || merchant_id AS recv
    FROM redeem.redemptions
),
expected AS (
    SELECT city_id, journal_kind AS kind, funding_id::text AS event,
        CASE journal_kind WHEN 'J2' THEN 'pledge:' || funder_id ELSE 'bank:main' END AS debit,
        CASE journal_kind WHEN 'J3' THEN 'pledge:' ELSE 'available:' END || funder_id AS credit,
        amount_fen
    FROM campaign.fundings
    UNION ALL
    SELECT m.city_id, m.kind, m.event,
        concat_ws(':', w.debit_family, s.funder_id,
            CASE WHEN w.debit_family <> 'available' THEN m.drop_id END),
        concat_ws(':', w.credit_family, s.funder_id,
            CASE WHEN w.credit_family <> 'available' THEN m.drop_id END),
        m.packs * s.share_fen
    FROM moves AS m
    JOIN ways AS w USING (kind)
    JOIN pack_share AS s USING (city_id, drop_id)
    UNION ALL
    SELECT r.city_id, line.kind, r.event, line.debit, line.credit, sum(s.amount_fen)::bigint
    FROM redemption AS r
    JOIN share AS s USING (city_id, drop_id, kind_id)
    CROSS JOIN LATERAL (
        VALUES
            (CASE WHEN r.held_at IS NOT NULL THEN 'J8' END, s.outstanding, s.held),
            (CASE r.captured_kind WHEN 'J10' THEN 'J10' END,
                CASE WHEN r.held_at IS NULL THEN s.outstanding ELSE s.held END, r.payable),
            (CASE WHEN r.captured_kind = 'J10' AND s.is_absorbed THEN 'J11' END, r.payable, s.pledge),
            (CASE r.captured_kind WHEN 'J17' THEN 'J17' END, s.held, r.payable),
            (CASE r.captured_kind WHEN 'J17' THEN 'J17' END, r.payable,
                CASE WHEN s.is_absorbed THEN s.pledge ELSE 'wallet:main' END),
            (CASE r.ended_kind WHEN 'J9' THEN 'J9' END, s.held,
                CASE r.ended_into WHEN 'return' THEN s.back ELSE s.outstanding END),
            (CASE WHEN r.ended_kind <> 'J9' THEN r.ended_kind END,
                CASE WHEN s.is_absorbed THEN s.pledge
                    WHEN r.ended_kind = 'J23' THEN r.recv
                    WHEN r.ended_kind = 'J23e' THEN 'wallet:main'
                    ELSE r.payable END,
                CASE r.ended_into WHEN 'return' THEN s.back ELSE s.outstanding END)
    ) AS line (kind, debit, credit)
    WHERE line.kind IS NOT NULL
    GROUP BY r.city_id, line.kind, r.event, line.debit, line.credit
    UNION ALL
    SELECT e.city_id, 'J18',
        concat_ws(':', e.drop_id, e.kind_id, extract(epoch FROM e.valid_until)::bigint),
        concat_ws(':', 'outstanding', s.funder_id, e.drop_id), 'return:' || s.funder_id,
        (e.untouched + e.touched) * s.amount_fen
    FROM redeem.expiries AS e
    JOIN campaign.voucher_shares AS s USING (city_id, drop_id, kind_id)
    WHERE e.untouched + e.touched > 0
    UNION ALL
    SELECT p.city_id, line.kind, p.payout_id::text, line.debit, line.credit, line.amount_fen
    FROM ledger.payouts AS p
    CROSS JOIN LATERAL (
        SELECT 'payable:' || p.merchant_id AS payable, 'transit:' || p.batch_id AS transit,
            'merchant_recv:' || p.merchant_id AS recv
    ) AS a
    CROSS JOIN LATERAL (
        VALUES ('J13', a.payable, a.recv, p.netted_fen),
            ('J14', a.payable, a.transit, p.amount_fen),
            (CASE p.state WHEN 'confirmed' THEN 'J15' END, a.transit, 'bank:main', p.amount_fen),
            (CASE p.state WHEN 'rejected' THEN 'J16' END, a.transit, a.payable, p.amount_fen),
            (CASE p.state WHEN 'rejected' THEN 'J16' END, a.recv, a.payable, p.netted_fen)
    ) AS line (kind, debit, credit, amount_fen)
    WHERE line.kind IS NOT NULL AND line.amount_fen > 0
    UNION ALL
    SELECT r.city_id, line.kind, r.return_id::text, line.debit, line.credit, line.amount_fen
    FROM ledger.funder_returns AS r
    CROSS JOIN LATERAL (
        VALUES ('J33', 'available:' || r.funder_id, 'return:' || r.funder_id, r.released_fen),
            ('J20', 'return:' || r.funder_id, 'pledge:' || r.funder_id, r.pledge_fen),
            ('J19', 'return:' || r.funder_id, 'bank:main', r.bank_fen),
            ('J19', 'return:' || r.funder_id, 'wallet:main', r.wallet_fen)
    ) AS line (kind, debit, credit, amount_fen)
    WHERE r.state = 'approved' AND line.amount_fen > 0
    UNION ALL
    SELECT city_id, 'J32', move_id::text,
        CASE direction WHEN 'to_wallet' THEN 'wallet:main' ELSE 'bank:main' END,
        CASE direction WHEN 'to_wallet' THEN 'bank:main' ELSE 'wallet:main' END, amount_fen
    FROM ledger.custody_moves
    UNION ALL
    SELECT city_id, CASE WHEN difference_fen > 0 THEN 'J24' ELSE 'J25' END, break_id::text,
        CASE WHEN difference_fen > 0 THEN account ELSE 'suspense_short:main' END,
        CASE WHEN difference_fen > 0 THEN 'suspense_over:main' ELSE account END,
        abs(difference_fen)
    FROM ledger.breaks
    WHERE state = 'posted'
),
found AS (
    SELECT j.city_id, j.kind, j.event, debit.code AS debit, credit.code AS credit,
        sum(t.amount_fen)::bigint AS amount_fen
    FROM ledger.transfers AS t
    JOIN ledger.journals AS j USING (city_id, journal_id)
    LEFT JOIN ledger.accounts AS debit
        ON debit.city_id = t.city_id AND debit.account_id = t.debit_account_id
    LEFT JOIN ledger.accounts AS credit
        ON credit.city_id = t.city_id AND credit.account_id = t.credit_account_id
    GROUP BY j.city_id, j.kind, j.event, debit.code, credit.code
)
SELECT city_id, kind, event, debit, credit, expected.amount_fen AS expected_fen,
    found.amount_fen AS found_fen
FROM expected
FULL JOIN found USING (city_id, kind, event, debit, credit)
WHERE expected.amount_fen IS DISTINCT FROM found.amount_fen;

-- name: I9_records_follow_from_events
-- Every capture, reversal of a capture, and expiry has one settlement record, of its journal and its
-- amounts, and every record its event.
WITH events AS (
    SELECT city_id, 'REDEEM' AS record_type, captured_kind AS kind, redemption_id::text AS event,
        amount_fen, amount_fen - absorbed_fen AS net_fen, order_amount_fen, 1::bigint AS vouchers
    FROM redeem.redemptions
    WHERE captured_at IS NOT NULL
    UNION ALL
    SELECT city_id, 'REVERSAL', ended_kind, redemption_id::text, amount_fen,
        amount_fen - absorbed_fen, order_amount_fen, 1
    FROM redeem.redemptions
    WHERE ended_kind <> 'J9'
    UNION ALL
    SELECT city_id, 'EXPIRY_RETURN', 'J18',
        concat_ws(':', drop_id, kind_id, extract(epoch FROM valid_until)::bigint),
        amount_fen, 0, amount_fen, untouched + touched
    FROM redeem.expiries
    WHERE untouched + touched > 0
),
records AS (
    SELECT s.city_id, s.record_type, j.kind, j.event, s.settlement_id, s.voucher_amount_fen,
        s.net_fen, s.order_amount_fen, s.voucher_count, s.accounting_date = j.accounting_date
            AS is_dated,
        (SELECT sum(value::bigint) FROM jsonb_each_text(s.fund_split)) AS split_fen,
        s.record_type <> 'REVERSAL' OR coalesce(o.record_type = 'REDEEM', false) AS is_linked,
        count(*) OVER (PARTITION BY s.city_id, s.ledger_txn_id) AS copies
    FROM ledger.settlement_records AS s
    LEFT JOIN ledger.journals AS j ON j.city_id = s.city_id AND j.journal_id = s.ledger_txn_id
    LEFT JOIN ledger.settlement_records AS o
        ON o.city_id = s.city_id AND o.settlement_id = s.original_settlement_id
        AND (o.claim_id, o.position) = (s.claim_id, s.position)
)
SELECT city_id, record_type, kind, event, r.settlement_id, e.amount_fen AS expected_fen,
    r.voucher_amount_fen AS found_fen
FROM events AS e
FULL JOIN records AS r USING (city_id, record_type, kind, event)
WHERE (e.amount_fen, e.net_fen, e.order_amount_fen, e.vouchers)
        IS DISTINCT FROM (r.voucher_amount_fen, r.net_fen, r.order_amount_fen, r.voucher_count)
    OR r.split_fen IS DISTINCT FROM e.amount_fen OR NOT r.is_dated OR NOT r.is_linked
    OR r.copies > 1;

-- name: I9_ecny_is_confirmed
-- On the e-CNY rail money moves exactly as the operator has confirmed it, and what is pending has one
-- open instruction.
SELECT city_id, redemption_id, r.state, r.captured_kind, r.ended_kind,
    coalesce(i.paid_fen, 0) AS paid_fen, coalesce(i.refunded_fen, 0) AS refunded_fen,
    coalesce(i.open, 0) AS open_instructions
FROM redeem.redemptions AS r
FULL JOIN (
    SELECT city_id, redemption_id,
        sum(amount_fen) FILTER (WHERE kind = 'pay' AND state = 'confirmed') AS paid_fen,
        sum(amount_fen) FILTER (WHERE kind = 'refund' AND state = 'confirmed') AS refunded_fen,
        count(*) FILTER (WHERE state = 'open') AS open
    FROM redeem.instructions
    GROUP BY city_id, redemption_id
) AS i USING (city_id, redemption_id)
WHERE r.state IS NULL
    OR coalesce(i.paid_fen, 0) <> CASE r.captured_kind
        WHEN 'J17' THEN r.amount_fen - r.absorbed_fen ELSE 0 END
    OR coalesce(i.refunded_fen, 0) <> CASE r.ended_kind
        WHEN 'J23e' THEN r.amount_fen - r.absorbed_fen ELSE 0 END
    OR coalesce(i.open, 0) <> CASE r.state WHEN 'pending' THEN 1 ELSE 0 END;

-- name: I9_released_claims_have_releases
-- A claim is released exactly when a release says so, at the same version and time.
SELECT city_id, claim_id, c.drop_id, c.state, c.released_version, r.version AS release_version,
    c.released_at, r.released_at AS release_at
FROM (SELECT * FROM claim.claims WHERE state <> 'live') AS c
FULL JOIN claim.claim_releases AS r USING (city_id, claim_id)
WHERE (c.drop_id, c.released_version, c.released_at)
    IS DISTINCT FROM (r.drop_id, r.version, r.released_at);

-- name: I9_versions_gap_free
-- Each version of a drop, from 1 on, was made by one change, one batch of claims or one release.
WITH made AS (
    SELECT city_id, drop_id, version FROM campaign.drop_changes
    UNION ALL
    SELECT DISTINCT city_id, drop_id, version FROM claim.claims
    UNION ALL
    SELECT city_id, drop_id, version FROM claim.claim_releases
),
counted AS (
    SELECT city_id, drop_id, count(*) AS versions, count(DISTINCT version) AS distinct_versions,
        min(version) AS first_version, max(version) AS last_version
    FROM made
    GROUP BY city_id, drop_id
)
SELECT city_id, drop_id, d.version, coalesce(counted.versions, 0) AS versions_made,
    coalesce(counted.distinct_versions, 0) AS distinct_versions, counted.first_version,
    counted.last_version
FROM campaign.drops AS d
FULL JOIN counted USING (city_id, drop_id)
WHERE d.version IS NULL
    OR d.version <> coalesce(counted.versions, 0)
    OR counted.versions <> counted.distinct_versions
    OR counted.first_version <> 1
    OR counted.last_version <> counted.versions;

-- name: I9_drops_follow_their_changes
-- A drop's state and quota are what its changes, and the packs withdrawn since, have made them.
WITH last_change AS (
    SELECT DISTINCT ON (city_id, drop_id) city_id, drop_id, version, quota_after
    FROM campaign.drop_changes
    ORDER BY city_id, drop_id, version DESC
),
last_state AS (
    SELECT DISTINCT ON (city_id, drop_id) city_id, drop_id,
        CASE kind WHEN 'pause' THEN 'paused' WHEN 'close' THEN 'closed' ELSE 'live' END AS state
    FROM campaign.drop_changes
    WHERE kind <> 'quota'
    ORDER BY city_id, drop_id, version DESC
),
withdrawn AS (
    SELECT c.city_id, c.drop_id, count(*) AS packs
    FROM last_change AS c
    JOIN claim.claim_releases AS r USING (city_id, drop_id)
    WHERE r.journal_kind = 'J7b' AND r.version > c.version
    GROUP BY c.city_id, c.drop_id
)
SELECT d.city_id, d.drop_id, coalesce(last_state.state, 'draft') AS expected_state,
    d.state AS found_state,
    coalesce(last_change.quota_after, d.quota) - coalesce(withdrawn.packs, 0) AS expected_quota,
    d.quota AS found_quota
FROM campaign.drops AS d
LEFT JOIN last_change USING (city_id, drop_id)
LEFT JOIN last_state USING (city_id, drop_id)
LEFT JOIN withdrawn USING (city_id, drop_id)
WHERE d.state <> coalesce(last_state.state, 'draft')
    OR d.quota <> coalesce(last_change.quota_after, d.quota) - coalesce(withdrawn.packs, 0);
