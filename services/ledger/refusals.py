"""What finance may be told instead of what was asked for."""

from shared.errors import Refusal, UnsupportedMediaType


class NothingDue(Refusal):
    code = "nothing_due"
    status = 409
    title = "No merchant is owed anything up to that day that is not in a batch already."


class DayNotOver(Refusal):
    code = "day_not_over"
    status = 409
    title = "That day is not over in Asia/Shanghai; its books may still move."
    retryable = True


class Decided(Refusal):
    """`state` says how."""

    code = "decided"
    status = 409
    title = "This was decided already, and otherwise."


class InsufficientFunds(Refusal):
    code = "insufficient_funds"
    status = 409
    title = "The accounts do not cover this."


class NotApproved(Refusal):
    code = "not_approved"
    status = 409
    title = "A batch has a payout file once a second person has approved it."


class NothingToPay(Refusal):
    code = "nothing_to_pay"
    status = 409
    title = "Every payout of this batch was netted whole; the bank has nothing to do."


class NothingToReturn(Refusal):
    code = "nothing_to_return"
    status = 409
    title = "Nothing of this funder's money is free to go back."


class ReturnProposed(Refusal):
    code = "return_proposed"
    status = 409
    title = "An earlier return to this funder is not decided yet."


class UnsupportedFileType(UnsupportedMediaType):
    title = "A statement is sent as text/csv, text/plain or application/octet-stream."


class Superseded(Refusal):
    code = "superseded"
    status = 409
    title = "The file was issued again; the statement of its last version counts."


class NotProposed(Refusal):
    """`state` says what the break is in."""

    code = "not_proposed"
    status = 409
    title = "Nothing is proposed about this break."


class AlreadyProposed(Refusal):
    code = "already_proposed"
    status = 409
    title = "Something else is proposed about this break; it has to be rejected first."


class Cleared(Refusal):
    code = "cleared"
    status = 409
    title = "A later run does not find this break any more."


class NothingToPost(Refusal):
    code = "nothing_to_post"
    status = 409
    title = "This break has no amount that could be booked."
