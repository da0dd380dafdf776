"""What passes between a load test and its crowd, which runs as a process of Locust."""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PLAN_VARIABLE = "LOADTEST_PLAN"
RECORD_VARIABLE = "LOADTEST_RECORD"
_T = TypeVar("_T")


def dump(kept: "DataclassInstance", path: Path) -> None:
    """Write a plan or a record for `load`."""
    # Not asdict, which cannot copy a Counter.
    path.write_text(json.dumps({one.name: getattr(kept, one.name) for one in fields(kept)}))


def load(kind: type[_T], path: Path) -> _T:
    """Read what `dump` wrote; `kind` itself turns lists back into what they were."""
    if not is_dataclass(kind):
        raise TypeError(f"{kind.__name__} is no dataclass")
    return kind(**json.loads(path.read_text()))
