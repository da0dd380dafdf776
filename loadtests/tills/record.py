"""What passes between the load test and the crowd at the tills."""

from collections import Counter
from dataclasses import dataclass, field

TerminalKey = tuple[str, str]
"""A key id and its secret, as the terminal was given it."""

Customer = tuple[str, int, str]
"""A claim, the position of a voucher in its pack, and the scene that is played with it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Customer n comes at `starts_at_us` + n / `customers_per_s`, to till n modulo their number.

    When they come does not depend on how fast the tills are.
    """

    data_dir: str
    starts_at_us: int
    customers_per_s: float
    terminals: list[TerminalKey]
    customers: list[Customer]


@dataclass(slots=True)
class Record:
    """What the tills met. `redemptions` holds what they were told of each in the end.

    `answered_ms` count from the moment a customer came, who may have waited for the one before;
    `late_ms` is how much later than that the generator itself began with one who had not to.
    """

    served: int = 0
    undecided: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    redemptions: dict[str, str] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)
    answered_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answers = Counter(self.answers)
