"""Finance reconciles: a statement a day against the books, differences settled by two persons."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from services.demo.desk import Desk
from services.demo.settling import Staff
from services.demo.trouble import DifferencesModel

StatementFormat = Literal["bank-statement", "ecny-daily"]
_PATHS: dict[StatementFormat, str] = {
    "bank-statement": "/v1/statements",
    "ecny-daily": "/v1/files",
}
_MEDIA_TYPES: dict[StatementFormat, str] = {
    "bank-statement": "text/csv",
    "ecny-daily": "text/plain",
}
_OVER = "The counterparty has it; parked as over (长款) until it is explained."
_SHORT = "The counterparty lacks it; parked as short (短款) until it is explained."
_NOT_COVERED = "The bank was told; nothing is booked that the account does not cover."
_CONFIRMED = "Each payment was confirmed by its number: the file is wrong, the books stand."


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference by what identifies it, both where it was planted and where it was found."""

    type: str
    reference: str
    difference_fen: int


@dataclass(slots=True)
class Reconciled:
    """One statement: what was planted into it, what was found, and how that ended."""

    format: StatementFormat
    day: date
    statement_id: str
    rows: int
    matched: int
    result_hash: str
    hash_again: str
    planted: list[Difference]
    found: list[tuple[Difference, str]] = field(default_factory=list)

    @property
    def overlooked(self) -> list[Difference]:
        return _without(self.planted, [difference for difference, _ in self.found])

    @property
    def not_planted(self) -> list[Difference]:
        return _without([difference for difference, _ in self.found], self.planted)


def _without(these: Sequence[Difference], those: Sequence[Difference]) -> list[Difference]:
    rest = list(those)
    kept = []
    for difference in these:
        if difference in rest:
            rest.remove(difference)
        else:
            kept.append(difference)
    return kept


class Reconciler:
    """Takes one counterparty's statements of one programme, day by day."""

    def __init__(
        self,
        staff: Staff,
        counterparty: Desk,
        programme_id: str,
        statement_format: StatementFormat,
        *,
        lies: Sequence[Sequence[str]],
        seed: int,
    ) -> None:
        """`lies` are the differences to plant, by the day of the week at the tills."""
        self._staff = staff
        self._counterparty = counterparty
        self._programme_id = programme_id
        self._format = statement_format
        self._lies = lies
        self._seed = seed
        # What the books say more than there is, since differences were booked.
        self._parked_fen = 0
        self.reconciled: list[Reconciled] = []

    async def reconcile(self, day: date, number: int) -> Reconciled:
        """Take the statement of a day, the `number`-th of the week, and settle what it shows.

        Raises:
            DeskError: a service refused.
        """
        planted = await self._plant(day, number)
        content = await self._counterparty.fetch(
            f"{_PATHS[self._format]}/{self._programme_id}/{day.isoformat()}"
        )
        statement = await self._staff.finance.upload(
            "/v1/statements",
            content,
            media_type=_MEDIA_TYPES[self._format],
            programme_id=self._programme_id,
            format=self._format,
        )
        wanted = {"statement_id": statement["statement_id"]}
        run = await self._staff.finance.post("/v1/reconciliations", wanted)
        found = await self._settle(statement["statement_id"])
        again = await self._staff.finance.post("/v1/reconciliations", wanted)
        reconciled = Reconciled(
            self._format,
            day,
            statement["statement_id"],
            run["lines"],
            run["matched"],
            run["result_hash"],
            again["result_hash"],
            planted,
            found,
        )
        self.reconciled.append(reconciled)
        return reconciled

    async def _plant(self, day: date, number: int) -> list[Difference]:
        kinds = self._lies[number] if number < len(self._lies) else ()
        if not kinds:
            return []
        told = await self._counterparty.post(
            "/simulate/lies",
            {
                "account": self._programme_id,
                "day": day.isoformat(),
                "seed": self._seed + number,
                "lies": [{"what": kind} for kind in kinds],
            },
        )
        return [
            Difference(lie["type"], lie["reference"], lie["difference_fen"])
            for lie in told["planted"]
        ]

    async def _settle(self, statement_id: str) -> list[tuple[Difference, str]]:
        """Have each break proposed by one person and approved by another."""
        breaks = await self._staff.finance.list(
            "/v1/breaks", programme_id=self._programme_id, statement_id=statement_id
        )
        found = []
        for one in breaks:
            proposal, reason = self._propose(one["difference_fen"])
            path = f"/v1/breaks/{one['break_id']}"
            body = {"proposal": proposal, "reason": reason}
            await self._staff.finance.post(f"{path}/propose", body)
            ended = await self._staff.approver.post(f"{path}/approve")
            found.append((_difference(one), str(ended["state"])))
        return found

    def _propose(self, difference_fen: int) -> tuple[str, str]:
        if self._format == "ecny-daily":
            return "accept", _CONFIRMED
        if self._parked_fen + difference_fen < 0:
            # Booked, it would take from the account what is owed to shops and funders.
            return "accept", _NOT_COVERED
        self._parked_fen += difference_fen
        return "post", _OVER if difference_fen > 0 else _SHORT


def _difference(found: dict[str, Any]) -> Difference:
    return Difference(found["type"], found["end_to_end_no"] or "", found["difference_fen"])


def spread_lies(differences: DifferencesModel, days: int) -> list[list[str]]:
    """Spread the differences over the days of the week; the first has too few rows for any."""
    dice = random.Random(differences.seed)
    spread: list[list[str]] = [[] for _ in range(days)]
    for kind in differences.kinds:
        spread[dice.randrange(1, days) if days > 1 else 0].append(kind)
    return spread
