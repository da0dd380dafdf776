"""How each constraint is broken: what the row says that it must not."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.schema.rows import NEW_ID


@dataclass(frozen=True, slots=True)
class Row:
    """A fresh row of the constraint's table with these SQL expressions in its columns.

    `without` names a stronger constraint of the same table that would refuse the row first.
    """

    differs: Mapping[str, str]
    without: str | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement, where a fresh row cannot be had."""

    sql: str


Violation = Row | Statement


def row(**differs: str) -> Row:
    return Row(differs)


NOWHERE = NEW_ID
"""A reference to a row that does not exist."""
_OTHER_PROGRAMME = (
    "(SELECT p.programme_id FROM campaign.programmes AS p"
    " WHERE p.programme_id <> journals.programme_id LIMIT 1)"
)
_ACCOUNT_OF_ANOTHER_BOOK = (
    "(SELECT a.account_id FROM ledger.accounts AS a"
    " WHERE a.programme_id <> transfers.programme_id LIMIT 1)"
)

VIOLATIONS: Mapping[str, tuple[Violation, ...]] = {
    # campaign
    "cities_pkey": (row(city_id="city_id"),),
    "cities_city_code_key": (row(city_code="city_code"),),
    "city_id_fits_the_public_ids": (row(city_id="0"), row(city_id="4096")),
    "clock_pkey": (Statement("INSERT INTO campaign.clock SELECT * FROM campaign.clock"),),
    "clock_is_one_row": (Statement("INSERT INTO campaign.clock VALUES (false, 0, true)"),),
    "production_runs_on_real_time": (
        Statement("UPDATE campaign.clock SET development = false, offset_us = 1"),
    ),
    "clock_never_runs_backwards": (Statement("UPDATE campaign.clock SET offset_us = -1"),),
    "programmes_pkey": (row(programme_id="programme_id"),),
    "programmes_city_fkey": (row(city_id="4000"),),
    "programme_has_a_name": (row(name="''"),),
    "funders_pkey": (row(funder_id="funder_id"),),
    "funders_position_key": (row(position="position"),),
    "funders_programme_fkey": (row(programme_id=NOWHERE), row(city_id="4000")),
    "share_is_a_part": (row(share_bp="0"), row(share_bp="10001")),
    "funder_mode_is_known": (row(mode="'promise'"),),
    "funder_kind_is_known": (row(kind="'somebody'"),),
    "funder_id_fits_an_account_code": (row(funder_id="'a:b'"), row(funder_id="''")),
    "fundings_pkey": (row(funding_id="funding_id"),),
    "fundings_funder_fkey": (
        row(funder_id="'nobody'"),
        row(programme_id=NOWHERE),
        row(city_id="4000"),
    ),
    "funding_is_positive": (row(amount_fen="0"), row(amount_fen="-1")),
    "funding_journal_is_known": (row(journal_kind="'J4'"),),
    "drops_pkey": (row(drop_id="drop_id"),),
    "drops_programme_fkey": (row(programme_id=NOWHERE), row(city_id="4000")),
    "drop_mode_is_known": (row(mode="'auction'"),),
    "drop_admission_is_known": (row(admission="'ticket'"),),
    "drop_rail_is_known": (row(rail="'cash'"),),
    "drop_reserve_mode_is_known": (row(reserve_mode="'half'"),),
    "drop_state_is_known": (row(state="'open'", published_at="now()"),),
    "drop_opens_before_it_closes": (row(closes_at="opens_at"),),
    "quota_is_bounded": (row(quota="100000001"),),
    "never_oversold": (
        row(state="'live'", published_at="now()", quota="4", live="5", issued="5"),
        row(live="-1"),
    ),
    "live_claims_were_issued": (
        row(state="'live'", published_at="now()", quota="5", live="5", issued="4"),
    ),
    "limit_is_bounded": (row(limit_per_holder="0"), row(limit_per_holder="101")),
    "pack_has_a_face": (row(pack_face_fen="0"),),
    "version_counts_up": (row(version="-1"),),
    "only_published_drops_issue": (
        row(state="'live'"),
        row(state="'paused'"),
        row(issued="1"),
    ),
    "drop_changes_pkey": (row(version="version"),),
    "drop_changes_drop_fkey": (row(drop_id=NOWHERE), row(city_id="4000")),
    "drop_change_is_known": (row(kind="'reopen'"),),
    "voucher_kinds_pkey": (row(kind_id="kind_id"),),
    "voucher_kinds_position_key": (row(position="position"),),
    "voucher_kinds_drop_fkey": (row(drop_id=NOWHERE), row(city_id="4000")),
    "face_is_positive": (row(face_fen="0"),),
    "min_spend_is_not_negative": (row(min_spend_fen="-1"),),
    "kind_count_is_bounded": (row(count="0"), row(count="65")),
    "kind_position_counts_from_zero": (row(position="-1"),),
    "kind_has_one_validity": (
        row(valid_days="NULL", valid_until="NULL"),
        row(valid_days="7", valid_until="now()"),
    ),
    "valid_days_are_bounded": (row(valid_days="0"), row(valid_days="3651")),
    "refund_policy_is_known": (row(refund_policy="'maybe'"),),
    "benefit_is_known": (
        row(benefit="'gift'"),
        row(percent_bp="100"),
        row(benefit="'percent_with_cap'", percent_bp="10001"),
        row(benefit="'percent_with_cap'", percent_bp="NULL"),
    ),
    "kind_shares_pkey": (row(funder_id="funder_id"),),
    "kind_shares_kind_fkey": (
        row(kind_id="'unknown'"),
        row(drop_id=NOWHERE),
        row(city_id="4000"),
    ),
    "kind_share_is_not_negative": (row(amount_fen="-1"),),
    "idempotency_keys_pkey": (row(key="key"),),
    "idempotency_keys_city_fkey": (row(city_id="4000"),),
    "only_successes_are_kept": (row(status="199"), row(status="300")),
    "request_hash_is_sha256": (row(request_hash="'\\x00'"),),
    # claim
    "persons_pkey": (row(person_id="person_id"),),
    "persons_city_fkey": (row(city_id="4000"),),
    "person_identities_pkey": (row(identity_hash="identity_hash"),),
    "person_identities_person_fkey": (row(person_id=NOWHERE), row(city_id="4000")),
    "dimension_is_known": (row(dimension="'name'"),),
    "identity_hash_is_sha256": (row(identity_hash="'\\x00'"),),
    "drop_ordinals_pkey": (row(ordinal="ordinal"),),
    "drop_ordinals_drop_fkey": (row(drop_id=NOWHERE), row(city_id="4000")),
    "ordinals_count_from_one": (row(ordinal="0"),),
    "claims_pkey": (row(claim_id="claim_id"),),
    "claims_serial_key": (row(serial="serial"),),
    "claims_live_person_key": (row(person_id="person_id"),),
    "claims_ordinal_fkey": (row(ordinal="2"), row(drop_id=NOWHERE)),
    "claims_person_fkey": (row(person_id=NOWHERE),),
    "serials_count_from_one": (row(serial="0"),),
    "claim_state_is_known": (row(state="'lost'", released_at="now()", released_version="9"),),
    "released_claims_say_when": (
        row(state="'released'"),
        row(state="'released'", released_at="now()"),
        row(state="'released'", released_version="9"),
        row(released_at="now()", released_version="9"),
    ),
    "claim_releases_pkey": (row(claim_id="claim_id"),),
    "claim_releases_claim_fkey": (row(claim_id=NOWHERE), row(city_id="4000")),
    "release_journal_is_known": (row(journal_kind="'J7'"),),
    "expiry_cohorts_pkey": (row(valid_until="valid_until"),),
    "expiry_cohorts_kind_fkey": (
        row(kind_id="'unknown'"),
        row(drop_id=NOWHERE),
        row(city_id="4000"),
    ),
    "attempts_pkey": (row(attempt_no="attempt_no"),),
    "holder_key_is_eight_bytes": (row(holder_key="'\\x00'"),),
    # ledger
    "account_families_pkey": (row(family="family"),),
    "normal_side_is_known": (row(normal_side="'left'"),),
    "accounts_pkey": (row(account_id="account_id"),),
    "accounts_code_key": (row(code="code"),),
    "accounts_programme_fkey": (row(programme_id=NOWHERE), row(city_id="4000")),
    "accounts_family_fkey": (row(family="'unknown'", code="'unknown:a'"),),
    "code_begins_with_its_family": (row(code="'reserved:a'"),),
    "balances_pkey": (row(account_id="account_id"),),
    "balances_account_fkey": (row(account_id="-1"), row(city_id="4000")),
    "balance_is_not_negative": (row(balance_fen="-1"),),
    "journals_pkey": (row(journal_id="journal_id", programme_id=_OTHER_PROGRAMME),),
    "journals_identity_key": (row(event="event"),),
    "journals_book_key": (Row({"journal_id": "journal_id"}, without="journals_pkey"),),
    "journals_programme_fkey": (row(programme_id=NOWHERE), row(city_id="4000")),
    "journal_kind_is_a_number": (row(kind="'6'"), row(kind="'J6aa'")),
    "transfers_pkey": (row(line="line"),),
    "transfers_journal_fkey": (row(journal_id=NOWHERE),),
    "transfers_debit_account_fkey": (
        row(debit_account_id="-1"),
        row(debit_account_id=_ACCOUNT_OF_ANOTHER_BOOK),
    ),
    "transfers_credit_account_fkey": (
        row(credit_account_id="-1"),
        row(credit_account_id=_ACCOUNT_OF_ANOTHER_BOOK),
    ),
    "transfer_amount_is_positive": (row(amount_fen="0"), row(amount_fen="-1")),
    "transfer_moves_between_accounts": (row(credit_account_id="debit_account_id"),),
    "lines_count_from_one": (row(line="0"),),
}
