"""Assertions that `python -O` does not remove."""


class InvariantViolatedError(AssertionError):
    """The program found itself in a state it promised never to reach."""


def invariant(held: bool, message: str) -> None:  # noqa: FBT001 - reads as "invariant that ..."
    """Stop here rather than go wrong: raise InvariantViolatedError unless `held`."""
    if not held:
        raise InvariantViolatedError(message)
