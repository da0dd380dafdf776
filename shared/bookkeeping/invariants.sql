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
WITH balance AS (
    SELECT a.city_id, a.programme_id, a.account_id, sum(moved.amount_fen) AS debit_fen
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
    GROUP BY a.city_id, a.programme_id, a.account_id
)
SELECT city_id, programme_id,
    coalesce(sum(debit_fen) FILTER (WHERE debit_fen > 0), 0)::bigint AS debit_fen,
    coalesce(-sum(debit_fen) FILTER (WHERE debit_fen < 0), 0)::bigint AS credit_fen
FROM balance
GROUP BY city_id, programme_id
HAVING sum(debit_fen) <> 0;

-- name: I6_no_account_is_overdrawn
-- No account is below zero on its normal side.
WITH moved AS (
    SELECT city_id, programme_id, debit_account_id AS account_id, sum(amount_fen) AS amount_fen
    FROM ledger.transfers
    GROUP BY city_id, programme_id, debit_account_id
    UNION ALL
    SELECT city_id, programme_id, credit_account_id, -sum(amount_fen)
    FROM ledger.transfers
    GROUP BY city_id, programme_id, credit_account_id
)
SELECT a.city_id, a.programme_id, a.code, f.normal_side,
    sum(CASE f.normal_side WHEN 'debit' THEN moved.amount_fen ELSE -moved.amount_fen END)::bigint
        AS balance_fen
FROM moved
JOIN ledger.accounts AS a USING (city_id, programme_id, account_id)
JOIN ledger.account_families AS f USING (family)
GROUP BY a.city_id, a.programme_id, a.code, f.normal_side
HAVING sum(CASE f.normal_side WHEN 'debit' THEN moved.amount_fen ELSE -moved.amount_fen END) < 0;

-- name: I6_guarded_balances_match
-- The balance row of a guarded account is what its transfers sum to; no other account has one.
WITH moved AS (
    SELECT city_id, programme_id, debit_account_id AS account_id, sum(amount_fen) AS amount_fen
    FROM ledger.transfers
    GROUP BY city_id, programme_id, debit_account_id
    UNION ALL
    SELECT city_id, programme_id, credit_account_id, -sum(amount_fen)
    FROM ledger.transfers
    GROUP BY city_id, programme_id, credit_account_id
),
computed AS (
    SELECT a.city_id, a.programme_id, a.account_id, a.code,
        sum(CASE f.normal_side WHEN 'debit' THEN moved.amount_fen ELSE -moved.amount_fen END)::bigint
            AS balance_fen
    FROM moved
    JOIN ledger.accounts AS a USING (city_id, programme_id, account_id)
    JOIN ledger.account_families AS f ON f.family = a.family AND f.guarded
    GROUP BY a.city_id, a.programme_id, a.account_id, a.code
)
SELECT city_id, programme_id, account_id, computed.code,
    computed.balance_fen AS expected_fen, kept.balance_fen AS found_fen
FROM computed
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

-- name: I7_outstanding_is_live_claims
-- Outstanding of a funder and drop is the funder's part of the packs that are claimed and live.
WITH moved AS (
    SELECT city_id, programme_id, debit_account_id AS account_id, -sum(amount_fen) AS amount_fen
    FROM ledger.transfers
    GROUP BY city_id, programme_id, debit_account_id
    UNION ALL
    SELECT city_id, programme_id, credit_account_id, sum(amount_fen)
    FROM ledger.transfers
    GROUP BY city_id, programme_id, credit_account_id
),
control AS (
    SELECT a.city_id, a.programme_id, a.code, sum(moved.amount_fen)::bigint AS balance_fen
    FROM moved
    JOIN ledger.accounts AS a USING (city_id, programme_id, account_id)
    WHERE a.family = 'outstanding'
    GROUP BY a.city_id, a.programme_id, a.code
),
pack_share AS (
    SELECT k.city_id, k.drop_id, s.funder_id, sum(k.count * s.amount_fen)::bigint AS share_fen
    FROM campaign.voucher_kinds AS k
    JOIN campaign.kind_shares AS s USING (city_id, drop_id, kind_id)
    GROUP BY k.city_id, k.drop_id, s.funder_id
),
counted AS (
    SELECT city_id, drop_id, count(*) AS live_claims
    FROM claim.claims
    WHERE state = 'live'
    GROUP BY city_id, drop_id
),
subledger AS (
    SELECT d.city_id, d.programme_id,
        concat_ws(':', 'outstanding', s.funder_id, d.drop_id) AS code,
        counted.live_claims * s.share_fen AS balance_fen
    FROM campaign.drops AS d
    JOIN counted USING (city_id, drop_id)
    JOIN pack_share AS s USING (city_id, drop_id)
)
SELECT city_id, programme_id, code, coalesce(subledger.balance_fen, 0) AS expected_fen,
    coalesce(control.balance_fen, 0) AS found_fen
FROM subledger
FULL JOIN control USING (city_id, programme_id, code)
WHERE coalesce(subledger.balance_fen, 0) <> coalesce(control.balance_fen, 0);

-- name: I7_reserved_is_unclaimed_packs
-- Reserved of a funder and drop is the funder's part of the unclaimed packs on sale, and else nothing.
WITH moved AS (
    SELECT city_id, programme_id, debit_account_id AS account_id, -sum(amount_fen) AS amount_fen
    FROM ledger.transfers
    GROUP BY city_id, programme_id, debit_account_id
    UNION ALL
    SELECT city_id, programme_id, credit_account_id, sum(amount_fen)
    FROM ledger.transfers
    GROUP BY city_id, programme_id, credit_account_id
),
control AS (
    SELECT a.city_id, a.programme_id, a.code, sum(moved.amount_fen)::bigint AS balance_fen
    FROM moved
    JOIN ledger.accounts AS a USING (city_id, programme_id, account_id)
    WHERE a.family = 'reserved'
    GROUP BY a.city_id, a.programme_id, a.code
),
pack_share AS (
    SELECT k.city_id, k.drop_id, s.funder_id, sum(k.count * s.amount_fen)::bigint AS share_fen
    FROM campaign.voucher_kinds AS k
    JOIN campaign.kind_shares AS s USING (city_id, drop_id, kind_id)
    GROUP BY k.city_id, k.drop_id, s.funder_id
),
counted AS (
    SELECT city_id, drop_id, count(*) AS live_claims
    FROM claim.claims
    WHERE state = 'live'
    GROUP BY city_id, drop_id
),
subledger AS (
    SELECT d.city_id, d.programme_id, concat_ws(':', 'reserved', s.funder_id, d.drop_id) AS code,
        (d.quota - coalesce(counted.live_claims, 0)) * s.share_fen AS balance_fen
    FROM campaign.drops AS d
    JOIN pack_share AS s USING (city_id, drop_id)
    LEFT JOIN counted USING (city_id, drop_id)
    WHERE d.state IN ('live', 'paused')
)
SELECT city_id, programme_id, code, coalesce(subledger.balance_fen, 0) AS expected_fen,
    coalesce(control.balance_fen, 0) AS found_fen
FROM subledger
FULL JOIN control USING (city_id, programme_id, code)
WHERE coalesce(subledger.balance_fen, 0) <> coalesce(control.balance_fen, 0);

-- name: I8_funded_is_accounted_for
-- What a funder paid or promised is available, reserved, outstanding, held, or owed back to it.
WITH funded AS (
    SELECT city_id, programme_id, funder_id, sum(amount_fen)::bigint AS amount_fen
    FROM campaign.fundings
    WHERE journal_kind IN ('J1', 'J2')
    GROUP BY city_id, programme_id, funder_id
),
moved AS (
    SELECT city_id, programme_id, debit_account_id AS account_id, -sum(amount_fen) AS amount_fen
    FROM ledger.transfers
    GROUP BY city_id, programme_id, debit_account_id
    UNION ALL
    SELECT city_id, programme_id, credit_account_id, sum(amount_fen)
    FROM ledger.transfers
    GROUP BY city_id, programme_id, credit_account_id
),
owed AS (
    SELECT a.city_id, a.programme_id, split_part(a.code, ':', 2) AS funder_id,
        sum(moved.amount_fen)::bigint AS amount_fen
    FROM moved
    JOIN ledger.accounts AS a USING (city_id, programme_id, account_id)
    WHERE a.family IN ('available', 'reserved', 'outstanding', 'held', 'return')
    GROUP BY a.city_id, a.programme_id, split_part(a.code, ':', 2)
)
SELECT city_id, programme_id, funder_id, coalesce(funded.amount_fen, 0) AS expected_fen,
    coalesce(owed.amount_fen, 0) AS found_fen
FROM funded
FULL JOIN owed USING (city_id, programme_id, funder_id)
WHERE coalesce(funded.amount_fen, 0) <> coalesce(owed.amount_fen, 0);

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
    SELECT k.city_id, k.drop_id, s.funder_id, sum(k.count * s.amount_fen)::bigint AS share_fen
    FROM campaign.voucher_kinds AS k
    JOIN campaign.kind_shares AS s USING (city_id, drop_id, kind_id)
    GROUP BY k.city_id, k.drop_id, s.funder_id
    HAVING sum(k.count * s.amount_fen) > 0
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
