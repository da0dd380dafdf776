"""What an operator may be told instead of what was asked for."""

from shared.errors import Refusal


class InsufficientFunds(Refusal):
    """`funder_id` and `needed_fen` say whose money is short, and how much the change takes."""

    code = "insufficient_funds"
    status = 409
    title = "A funder's available money does not cover these packs."


class WrongState(Refusal):
    """`state` says what the drop or the merchant is in."""

    code = "wrong_state"
    status = 409
    title = "The present state does not allow this change."


class QuotaBelowClaims(Refusal):
    """`live` says how many packs are claimed."""

    code = "quota_below_claims"
    status = 409
    title = "More packs than this quota are claimed already."


class PledgeExceeded(Refusal):
    code = "pledge_exceeded"
    status = 409
    title = "The funder has not promised that much, or has paid it already."


class PledgeAbsorbed(Refusal):
    code = "pledge_absorbed"
    status = 409
    title = "This promise is taken off what merchants are paid; it is not paid in as well."


class ClaimInUse(Refusal):
    code = "in_use"
    status = 409
    title = "A voucher of this claim is held or redeemed."


class ClaimExpired(Refusal):
    code = "expired"
    status = 410
    title = "A voucher of this claim has expired; its money goes back to the funders by itself."
