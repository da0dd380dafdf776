"""What somebody with all rights might do to the books, and which checks must notice."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tampering:
    """Statements that a superuser might run, and the checks that must notice.

    They find their rows by `NAMES`: `a` is the live drop, `b` the closed one, `c` the draft.
    """

    statement: str
    found_by: frozenset[str]


def tampering(statement: str, *found_by: str) -> Tampering:
    return Tampering(statement, frozenset(found_by))


# The amounts of a J4 and of a J6 feed the same control accounts and funder totals.
CONTROL = ("I7_outstanding_is_unused_vouchers", "I7_reserved_is_unclaimed_packs")

CASES = {
    "a transfer's amount is raised": tampering(
        "UPDATE ledger.transfers SET amount_fen = amount_fen + 1 WHERE line = 1"
        " AND journal_id = (SELECT journal_id FROM first_journal('J6'))",
        "I9_amounts_follow_from_events",
        *CONTROL,
    ),
    "a funding's transfer is raised": tampering(
        "UPDATE ledger.transfers SET amount_fen = amount_fen + 1"
        " WHERE journal_id = (SELECT journal_id FROM first_journal('J1'))",
        "I9_amounts_follow_from_events",
        "I6_guarded_balances_match",
        "I8_funded_is_accounted_for",
    ),
    "a transfer's amount is made negative": tampering(
        "ALTER TABLE ledger.transfers DROP CONSTRAINT transfer_amount_is_positive;"
        "UPDATE ledger.transfers SET amount_fen = -amount_fen WHERE line = 1"
        " AND journal_id = (SELECT journal_id FROM first_journal('J6'))",
        "I5_transfers_move_money",
        "I9_amounts_follow_from_events",
        "I6_no_account_is_overdrawn",
        *CONTROL,
    ),
    "a transfer goes from an account to itself": tampering(
        "ALTER TABLE ledger.transfers DROP CONSTRAINT transfer_moves_between_accounts;"
        "UPDATE ledger.transfers SET credit_account_id = debit_account_id WHERE line = 1"
        " AND journal_id = (SELECT journal_id FROM first_journal('J6'))",
        "I5_transfers_move_money",
        "I9_amounts_follow_from_events",
        *CONTROL,
    ),
    "the first transfer of a journal is deleted": tampering(
        "DELETE FROM ledger.transfers WHERE line = 1"
        " AND journal_id = (SELECT journal_id FROM first_journal('J6'))",
        "I5_journals_are_whole",
        "I9_amounts_follow_from_events",
        *CONTROL,
    ),
    "the last transfer of a journal is deleted": tampering(
        "DELETE FROM ledger.transfers WHERE line = 2"
        " AND journal_id = (SELECT journal_id FROM first_journal('J6'))",
        "I9_amounts_follow_from_events",
        *CONTROL,
    ),
    "a journal is deleted, its transfers are not": tampering(
        "DELETE FROM ledger.journals WHERE journal_id ="
        " (SELECT journal_id FROM first_journal('J6'))",
        "I5_transfers_have_journals",
        "I9_events_have_their_journals",
        "I9_amounts_follow_from_events",
    ),
    "a journal is deleted with its transfers": tampering(
        "CREATE TEMP TABLE gone AS SELECT * FROM first_journal('J7b');"
        "DELETE FROM ledger.transfers WHERE journal_id = (SELECT journal_id FROM gone);"
        "DELETE FROM ledger.journals WHERE journal_id = (SELECT journal_id FROM gone)",
        "I6_guarded_balances_match",
        "I7_outstanding_is_unused_vouchers",
        "I9_events_have_their_journals",
        "I9_amounts_follow_from_events",
    ),
    "a journal without an event or transfers is added": tampering(
        "INSERT INTO ledger.journals SELECT city_id, gen_random_uuid(), programme_id, 'J6',"
        " drop_id || ':9999', drop_id, NULL, accounting_date, posted_at, actor, posted_xid"
        " FROM first_journal('J6')",
        "I5_journals_are_whole",
        "I9_events_have_their_journals",
    ),
    "a journal of an unknown kind moves money": tampering(
        "SELECT ledger.post(city_id, programme_id, 'J99', 'anything', NULL, 'somebody', posted_at,"
        " ARRAY['available:city'], ARRAY['available:platform'], ARRAY[5::bigint])"
        " FROM first_journal('J6')",
        "I8_funded_is_accounted_for",
        "I9_events_have_their_journals",
        "I9_amounts_follow_from_events",
    ),
    "an event is booked twice": tampering(
        "DROP INDEX ledger.journals_identity_key;"
        "SELECT ledger.post(city_id, programme_id, kind, event, drop_id, actor, posted_at,"
        " ARRAY['bank:main'], ARRAY['available:city'], ARRAY[1000000000::bigint])"
        " FROM first_journal('J1')",
        "I8_funded_is_accounted_for",
        "I9_events_have_their_journals",
        "I9_amounts_follow_from_events",
    ),
    "a transfer is moved to another book": tampering(
        "UPDATE ledger.transfers SET programme_id = (SELECT programme_id FROM other_programme)"
        " WHERE line = 1 AND journal_id = (SELECT journal_id FROM first_journal('J6'))",
        "I5_transfers_have_journals",
        "I5_transfers_stay_in_their_book",
        *CONTROL,
    ),
    "a transfer is credited to an account of another book": tampering(
        "UPDATE ledger.transfers SET credit_account_id = (SELECT account_id FROM ledger.accounts"
        " WHERE code = 'available:city' AND programme_id = (SELECT programme_id FROM"
        " other_programme)) WHERE line = 1"
        " AND journal_id = (SELECT journal_id FROM first_journal('J6'))",
        "I5_transfers_stay_in_their_book",
        "I5_books_balance",
        "I7_outstanding_is_unused_vouchers",
        "I8_funded_is_accounted_for",
        "I9_amounts_follow_from_events",
    ),
    "a journal is dated another day": tampering(
        "UPDATE ledger.journals SET accounting_date = accounting_date - 1"
        " WHERE journal_id = (SELECT journal_id FROM first_journal('J6'))",
        "I9_events_have_their_journals",
    ),
    "a journal is given to another actor": tampering(
        "UPDATE ledger.journals SET actor = 'somebody'"
        " WHERE journal_id = (SELECT journal_id FROM first_journal('J4'))",
        "I9_events_have_their_journals",
    ),
    "a journal is given to another drop": tampering(
        "UPDATE ledger.journals SET drop_id = (SELECT drop_id FROM b)"
        " WHERE journal_id = (SELECT journal_id FROM first_journal('J7a'))",
        "I9_events_have_their_journals",
    ),
    "a live claim is deleted": tampering(
        "DELETE FROM claim.claims WHERE serial = 1 AND drop_id = (SELECT drop_id FROM a)",
        "I1_live_is_counted",
        "I1_serials_gap_free",
        "I9_amounts_follow_from_events",
        *CONTROL,
    ),
    "a claim is forged": tampering(
        "INSERT INTO claim.claims SELECT (forged).* FROM (SELECT jsonb_populate_record(c,"
        " jsonb_build_object('claim_id', gen_random_uuid(), 'serial', a.issued + 1,"
        " 'person_id', (SELECT person_id FROM claim.persons EXCEPT SELECT person_id FROM"
        " claim.claims))) AS forged FROM claim.claims AS c JOIN a USING (drop_id)"
        " WHERE c.serial = 1) AS copied",
        "I1_live_is_counted",
        "I1_serials_gap_free",
        "I9_amounts_follow_from_events",
        *CONTROL,
    ),
    "two claims carry one serial": tampering(
        "DROP INDEX claim.claims_serial_key;"
        "UPDATE claim.claims SET serial = 1 WHERE serial = 2 AND drop_id = (SELECT drop_id FROM a)",
        "I1_serials_gap_free",
    ),
    "a serial is skipped": tampering(
        "UPDATE claim.claims SET serial = 1000 WHERE serial = 2"
        " AND drop_id = (SELECT drop_id FROM a)",
        "I1_serials_gap_free",
    ),
    "a claim belongs to nobody": tampering(
        "UPDATE claim.claims SET person_id = gen_random_uuid() WHERE serial = 1"
        " AND drop_id = (SELECT drop_id FROM a)",
        "I2_claims_have_persons",
    ),
    "a person holds more than the limit": tampering(
        "UPDATE claim.claims SET ordinal = 2, request_key = 'x', person_id = (SELECT person_id"
        " FROM claim.claims WHERE serial = 1 AND drop_id = (SELECT drop_id FROM b))"
        " WHERE serial = 2 AND drop_id = (SELECT drop_id FROM b)",
        "I2_claims_within_limit",
        "I2_ordinals_within_limit",
    ),
    "a person claims again after a release": tampering(
        "UPDATE claim.claims SET person_id = (SELECT person_id FROM claim.claims"
        " WHERE serial = 1 AND drop_id = (SELECT drop_id FROM b))"
        " WHERE state = 'released' AND drop_id = (SELECT drop_id FROM b)",
        "I2_claims_within_limit",
    ),
    "an ordinal lies above the limit": tampering(
        "UPDATE claim.claims SET ordinal = 3 WHERE serial = 1 AND drop_id ="
        " (SELECT drop_id FROM a)",
        "I2_ordinals_within_limit",
    ),
    "one request has two claims": tampering(
        "UPDATE claim.claims SET ordinal = 2, person_id = (SELECT person_id FROM claim.claims"
        " WHERE serial = 1 AND drop_id = (SELECT drop_id FROM a)) WHERE serial = 2"
        " AND drop_id = (SELECT drop_id FROM a)",
        "I2_one_claim_per_request",
    ),
    "the live counter is raised": tampering(
        "UPDATE campaign.drops SET live = live + 1 WHERE drop_id = (SELECT drop_id FROM a)",
        "I1_live_is_counted",
    ),
    "the issued counter is raised": tampering(
        "UPDATE campaign.drops SET issued = issued + 1 WHERE drop_id = (SELECT drop_id FROM a)",
        "I1_serials_gap_free",
    ),
    "the quota is lowered": tampering(
        "UPDATE campaign.drops SET quota = quota - 1 WHERE drop_id = (SELECT drop_id FROM a)",
        "I7_reserved_is_unclaimed_packs",
        "I9_drops_follow_their_changes",
    ),
    "the quota is lowered below the live claims": tampering(
        "ALTER TABLE campaign.drops DROP CONSTRAINT never_oversold;"
        "UPDATE campaign.drops SET quota = 1 WHERE drop_id = (SELECT drop_id FROM a)",
        "I1_live_within_quota",
        "I7_reserved_is_unclaimed_packs",
        "I9_drops_follow_their_changes",
    ),
    "a closed drop is opened": tampering(
        "UPDATE campaign.drops SET state = 'live' WHERE drop_id = (SELECT drop_id FROM b)",
        "I7_reserved_is_unclaimed_packs",
        "I9_drops_follow_their_changes",
    ),
    "a drop's version is raised": tampering(
        "UPDATE campaign.drops SET version = version + 1 WHERE drop_id = (SELECT drop_id FROM a)",
        "I9_versions_gap_free",
    ),
    "a kind's share is raised": tampering(
        "UPDATE campaign.kind_shares SET amount_fen = amount_fen + 2 WHERE funder_id = 'city'"
        " AND kind_id = 'meal' AND drop_id = (SELECT drop_id FROM a)",
        "I7_kind_shares_sum_to_face",
        "I7_kind_shares_follow_funders",
        "I9_amounts_follow_from_events",
        *CONTROL,
    ),
    "a draft's shares are shifted": tampering(
        "UPDATE campaign.kind_shares SET amount_fen = amount_fen"
        " + CASE funder_id WHEN 'city' THEN 10 ELSE -10 END"
        " WHERE kind_id = 'meal' AND drop_id = (SELECT drop_id FROM c)",
        "I7_kind_shares_follow_funders",
    ),
    "a stranger pays a draft": tampering(
        "UPDATE campaign.kind_shares SET funder_id = 'stranger' WHERE funder_id = 'city'"
        " AND kind_id = 'meal' AND drop_id = (SELECT drop_id FROM c)",
        "I7_kind_shares_follow_funders",
    ),
    "a kind's face is raised": tampering(
        "UPDATE campaign.voucher_kinds SET face_fen = face_fen + 1 WHERE kind_id = 'book'"
        " AND drop_id = (SELECT drop_id FROM a)",
        "I7_kind_shares_follow_funders",
        "I7_kind_shares_sum_to_face",
        "I7_pack_face_is_its_kinds",
    ),
    "a funder's share is raised": tampering(
        "UPDATE campaign.funders SET share_bp = share_bp + 1 WHERE funder_id = 'city'"
        " AND programme_id = (SELECT programme_id FROM a)",
        "I7_funder_shares_are_whole",
    ),
    "a funding is raised": tampering(
        "UPDATE campaign.fundings SET amount_fen = amount_fen + 1 WHERE journal_kind = 'J1'"
        " AND funder_id = 'city' AND programme_id = (SELECT programme_id FROM a)",
        "I8_funded_is_accounted_for",
        "I9_amounts_follow_from_events",
    ),
    "a funding is deleted": tampering(
        "DELETE FROM campaign.fundings WHERE journal_kind = 'J2'",
        "I8_funded_is_accounted_for",
        "I9_events_have_their_journals",
        "I9_amounts_follow_from_events",
    ),
    "a guarded balance is raised": tampering(
        "UPDATE ledger.balances SET balance_fen = balance_fen + 1 WHERE account_id ="
        " (SELECT account_id FROM ledger.accounts WHERE code = 'available:city' AND programme_id ="
        " (SELECT programme_id FROM a))",
        "I6_guarded_balances_match",
    ),
    "a guarded balance is deleted": tampering(
        "DELETE FROM ledger.balances WHERE account_id = (SELECT account_id FROM ledger.accounts"
        " WHERE code = 'available:city' AND programme_id = (SELECT programme_id FROM a))",
        "I6_guarded_balances_match",
    ),
    "a hot account is given a balance": tampering(
        "INSERT INTO ledger.balances SELECT city_id, programme_id, account_id, 7"
        " FROM ledger.accounts WHERE family = 'reserved' LIMIT 1",
        "I6_guarded_balances_match",
    ),
    "a claim is moved to another batch": tampering(
        "UPDATE claim.claims AS c SET version = last.version, claimed_at = last.claimed_at"
        " FROM claim.claims AS last WHERE c.serial = 1 AND c.drop_id = (SELECT drop_id FROM a)"
        " AND last.drop_id = c.drop_id AND last.serial = (SELECT issued FROM a)",
        "I9_amounts_follow_from_events",
    ),
    "a claim is moved to a version of its own": tampering(
        "UPDATE claim.claims SET version = 9999 WHERE serial = 1"
        " AND drop_id = (SELECT drop_id FROM a)",
        "I9_amounts_follow_from_events",
        "I9_events_have_their_journals",
        "I9_versions_gap_free",
    ),
    "a claim is dated back": tampering(
        "UPDATE claim.claims SET claimed_at = claimed_at - interval '1 minute' WHERE serial = 1"
        " AND drop_id = (SELECT drop_id FROM a)",
        "I9_events_have_their_journals",
    ),
    "a claim is released without a release": tampering(
        "UPDATE claim.claims SET state = 'released', released_at = now(), released_version = 5"
        " WHERE serial = 1 AND drop_id = (SELECT drop_id FROM a)",
        "I1_live_is_counted",
        "I9_released_claims_have_releases",
        *CONTROL,
    ),
    "a release is deleted": tampering(
        "DELETE FROM claim.claim_releases WHERE journal_kind = 'J7a'",
        "I9_events_have_their_journals",
        "I9_amounts_follow_from_events",
        "I9_released_claims_have_releases",
        "I9_versions_gap_free",
    ),
    "a change of a drop is deleted": tampering(
        "DELETE FROM campaign.drop_changes WHERE kind = 'quota'",
        "I9_drops_follow_their_changes",
        "I9_events_have_their_journals",
        "I9_amounts_follow_from_events",
        "I9_versions_gap_free",
    ),
    "a change of a drop is enlarged": tampering(
        "UPDATE campaign.drop_changes SET packs_reserved = packs_reserved + 1"
        " WHERE kind = 'publish' AND drop_id = (SELECT drop_id FROM a)",
        "I9_amounts_follow_from_events",
    ),
    "more is paid than was promised": tampering(
        "UPDATE ledger.transfers SET amount_fen = amount_fen + 500 WHERE journal_id ="
        " (SELECT journal_id FROM first_journal('J3'))",
        "I6_no_account_is_overdrawn",
        "I6_guarded_balances_match",
        "I9_amounts_follow_from_events",
    ),
}

# Names by which the statements above find their rows.
NAMES = """
    CREATE VIEW public.a AS SELECT * FROM campaign.drops WHERE state = 'live';
    CREATE VIEW public.b AS SELECT * FROM campaign.drops WHERE state = 'closed';
    CREATE VIEW public.c AS SELECT * FROM campaign.drops WHERE state = 'draft';
    CREATE VIEW public.other_programme AS
        SELECT * FROM campaign.programmes WHERE programme_id NOT IN (SELECT programme_id FROM a);
    CREATE FUNCTION public.first_journal(p_kind text) RETURNS SETOF ledger.journals
    LANGUAGE sql AS $$
        SELECT * FROM ledger.journals WHERE kind = p_kind ORDER BY posted_at, event LIMIT 1
    $$;
"""
