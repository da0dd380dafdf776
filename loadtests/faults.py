"""What ends a load test without a result."""


class LoadTestError(Exception):
    """The measurement could not be made, or it must not be believed; the message says why."""
