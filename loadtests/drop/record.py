"""What passes between the load test and the crowd of a drop."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Plan:
    """What the crowd has to know. `tokens_path` holds a JWT a line, one for each resident."""

    drop_id: str
    opens_at_us: int
    residents: int
    tokens_path: str


@dataclass(slots=True)
class Record:
    """What the crowd met. `final_answer_ms` are counted from T-0, not from the last request."""

    started: int = 0
    waiting: int = 0
    waiting_at_opening: int = 0
    finished: int = 0
    undecided: int = 0
    changed_claims: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    acknowledged: list[tuple[str, int]] = field(default_factory=list)
    final_answer_ms: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answers = Counter(self.answers)
        self.acknowledged = [(claim_id, serial) for claim_id, serial in self.acknowledged]
