"""What passes between the load test and its crowd, which runs as a process of Locust."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

PLAN_VARIABLE = "LOADTEST_PLAN"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the crowd has to know. `tokens_path` holds a JWT a line, one for each resident."""

    drop_id: str
    opens_at_us: int
    residents: int
    tokens_path: str
    record_path: str


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


def dump_plan(plan: Plan, path: Path) -> None:
    path.write_text(json.dumps(asdict(plan)))


def load_plan(path: Path) -> Plan:
    return Plan(**json.loads(path.read_text()))


def dump_record(record: Record, path: Path) -> None:
    # Not asdict, which cannot copy a Counter.
    kept = {one.name: getattr(record, one.name) for one in fields(record)}
    path.write_text(json.dumps(kept))


def load_record(path: Path) -> Record:
    kept = json.loads(path.read_text())
    kept["answers"] = Counter(kept["answers"])
    kept["acknowledged"] = [(claim_id, serial) for claim_id, serial in kept["acknowledged"]]
    return Record(**kept)
