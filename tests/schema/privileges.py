"""What each service role may do. What is not named here is refused, to new tables as well."""

from collections.abc import Mapping

from tests.schema.rows import FRESH

READS: Mapping[str, frozenset[str]] = {
    "campaign": frozenset(table for table in FRESH if table.startswith("campaign.")),
    "claim": frozenset(
        {
            "campaign.cities",
            "campaign.drops",
            "campaign.voucher_kinds",
            "claim.persons",
            "claim.person_identities",
            "claim.claims",
        }
    ),
    "redeem": frozenset({"campaign.cities"}),
    "ledger": frozenset(FRESH) - {"claim.person_identities", "campaign.idempotency_keys"},
    "auditor": frozenset(FRESH) - {"claim.person_identities", "campaign.idempotency_keys"},
}
"""The clock aside, which everybody reads."""

INSERTS: Mapping[str, frozenset[str]] = {
    "campaign": frozenset(
        {
            "campaign.programmes",
            "campaign.funders",
            "campaign.drops",
            "campaign.voucher_kinds",
            "campaign.kind_shares",
            "campaign.idempotency_keys",
        }
    ),
    "claim": frozenset({"claim.attempts"}),
    "redeem": frozenset(),
    "ledger": frozenset(),
    "auditor": frozenset(),
}
"""There is no role that may update, delete or truncate anything."""

_EVERYBODY = {"campaign.now", "campaign.seen_cities"}
_READERS = {"claim.valid_until", "ledger.accounting_date", "campaign.pack_shares"}
CALLS: Mapping[str, frozenset[str]] = {
    "campaign": frozenset(
        _EVERYBODY
        | {"campaign.city_number", "campaign.fund", "campaign.change_drop", "claim.release"}
    ),
    "claim": frozenset(
        _EVERYBODY
        | {
            "claim.issue",
            "claim.find_claims",
            "claim.winner_keys",
            "claim.resolve_persons",
            "claim.valid_until",
        }
    ),
    "redeem": frozenset(_EVERYBODY),
    "ledger": frozenset(_EVERYBODY | _READERS),
    "auditor": frozenset(_EVERYBODY | _READERS),
}
