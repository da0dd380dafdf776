"""What is known of a programme before it is played, while it is, and at its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.demo.checking import ReadBack
from services.demo.claim_log import ClaimLog
from services.demo.crowd import CrowdModel, Visit
from services.demo.reconciling import Reconciled
from services.demo.settling import Settled
from services.demo.till import TillLog
from services.programme_file import Demo, ProgrammeFile
from services.seeding import Seeded, SeededDrop


@dataclass(frozen=True, slots=True)
class Plan:
    """A programme at its real size and as it is to be played, and who will come."""

    real: ProgrammeFile
    file: ProgrammeFile
    demo: Demo
    crowd: CrowdModel
    visits: Sequence[Visit]

    @property
    def days(self) -> int:
        """How many days are played at the tills."""
        return len(self.demo.shopping.percent_by_day)

    @property
    def valid_days(self) -> int:
        """After how many days no voucher is good any more."""
        return max(kind.valid_days or 0 for kind in self.file.drops[0].pack)


@dataclass(slots=True)
class Played:
    """One programme, from the end of its drop on."""

    plan: Plan
    tokens: Sequence[str]
    seeded: Seeded
    claims: ClaimLog
    read_back: ReadBack
    tills: TillLog = field(default_factory=TillLog)
    settled: Settled = field(default_factory=Settled)
    reconciled: list[Reconciled] = field(default_factory=list)
    returns: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)

    @property
    def file(self) -> ProgrammeFile:
        return self.plan.file

    @property
    def programme_id(self) -> str:
        return self.seeded.programme_id

    @property
    def drop(self) -> SeededDrop:
        return self.seeded.drops[0]

    @property
    def live_records(self) -> list[Mapping[str, Any]]:
        """The settlement records of redemptions that nobody reversed."""
        reversed_ids = {
            record["original_settlement_id"]
            for record in self.records
            if record["record_type"] == "REVERSAL"
        }
        return [
            record
            for record in self.records
            if record["record_type"] == "REDEEM" and record["settlement_id"] not in reversed_ids
        ]
