"""What a simulator may answer instead of what was asked for."""

from typing import ClassVar

from shared.errors import Failure, Refusal


class NumberReused(Refusal):
    code = "number_reused"
    status = 409
    title = "This number or reference was used for something else."


class InsufficientBalance(Refusal):
    code = "insufficient_balance"
    status = 409
    title = "The account does not allow this movement."


class FileRefused(Refusal):
    """`faults` names what is wrong with the file."""

    code = "file_refused"
    status = 422
    title = "Nothing of this file was taken."


class TooFewRows(Refusal):
    code = "too_few_rows"
    status = 409
    title = "There are too few rows to lie about."


class NoAnswer(Failure):
    """What a caller is told that outlasts a fault's silence."""

    code = "no_answer"
    status = 504
    title = "A fault was commanded: nobody answers."
    retryable: ClassVar[bool] = True
