"""What each service role may do. What is not named here is refused, to new tables as well."""

from collections.abc import Mapping

from tests.schema.rows import FRESH

VIEWS = frozenset({"campaign.voucher_shares", "ledger.account_balances", "ledger.current_runs"})
"""Each shows what its reader may see of the tables behind it."""

_BOOKS = (frozenset(FRESH) | VIEWS) - {"claim.person_identities", "campaign.idempotency_keys"}
READS: Mapping[str, frozenset[str]] = {
    "campaign": frozenset(table for table in FRESH if table.startswith("campaign."))
    | {"claim.claim_releases"},
    "claim": frozenset(
        {
            "campaign.cities",
            "campaign.drops",
            "campaign.voucher_kinds",
            "claim.persons",
            "claim.person_identities",
            "claim.claims",
            "redeem.vouchers",
        }
    ),
    "redeem": frozenset(
        {
            "campaign.cities",
            "campaign.terminals",
            "redeem.redemptions",
            "redeem.requests",
        }
    ),
    "ledger": _BOOKS | {"campaign.idempotency_keys"},
    "auditor": _BOOKS,
}
"""The clock aside, which everybody reads."""

READS_IN_PART: Mapping[str, Mapping[str, frozenset[str]]] = {
    "campaign": {
        "claim.claims": frozenset({"city_id", "claim_id", "drop_id", "serial", "state"}),
    },
}
"""Columns that a role may read of a table whose other columns it may not."""

INSERTS: Mapping[str, frozenset[str]] = {
    "campaign": frozenset(
        {
            "campaign.programmes",
            "campaign.funders",
            "campaign.drops",
            "campaign.voucher_kinds",
            "campaign.kind_shares",
            "campaign.merchants",
            "campaign.enrolments",
            "campaign.terminals",
            "campaign.idempotency_keys",
        }
    ),
    "claim": frozenset({"claim.attempts"}),
    "redeem": frozenset(),
    "ledger": frozenset({"campaign.idempotency_keys"}),
    "auditor": frozenset(),
}
"""There is no role that may update, delete or truncate anything."""

_EVERYBODY = {"campaign.now", "campaign.seen_cities"}
_READERS = {
    "claim.valid_until",
    "ledger.accounting_date",
    "campaign.pack_shares",
    "ledger.cash_movements",
    "redeem.expiry_event",
}
CALLS: Mapping[str, frozenset[str]] = {
    "campaign": frozenset(
        _EVERYBODY
        | {
            "campaign.city_number",
            "campaign.fund",
            "campaign.change_drop",
            "campaign.till_lock",
            "campaign.change_merchant",
            "campaign.suspend_terminal",
            "claim.release",
        }
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
    "redeem": frozenset(
        _EVERYBODY
        | {
            "redeem.decide",
            "redeem.quote",
            "redeem.finish_hold",
            "redeem.reverse",
            "redeem.overdue_holds",
            "redeem.time_out",
            "redeem.due_cohorts",
            "redeem.expire_cohort",
            "redeem.take_instructions",
            "redeem.finish_instruction",
        }
    ),
    "ledger": frozenset(
        _EVERYBODY
        | _READERS
        | {
            "ledger.cut_batch",
            "ledger.decide_batch",
            "ledger.take_payouts",
            "ledger.finish_payout",
            "ledger.propose_return",
            "ledger.decide_return",
            "ledger.keep_statement",
            "ledger.reconcile",
            "ledger.propose_break",
            "ledger.reject_break",
            "ledger.approve_break",
        }
    ),
    "auditor": frozenset(_EVERYBODY | _READERS),
}
