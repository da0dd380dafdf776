"""Random valid lives of a drop."""

import random
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from tests import builders
from tests.builders import DropTerms, Programme


@dataclass(slots=True)
class History:
    """A drop and what has happened to it; each step is a change that the functions allow."""

    connection: asyncpg.Connection
    programme: Programme
    drop_id: UUID
    terms: DropTerms
    live_claims: list[UUID] = field(default_factory=list)
    persons: list[UUID] = field(default_factory=list)

    async def step(self, chosen: random.Random) -> str:
        """Take one random step and return its name."""
        name = chosen.choices(
            ("issue", "release", "quota", "pause", "resume", "fund"), (8, 4, 2, 1, 2, 2)
        )[0]
        match name:
            case "issue":
                await self._issue(chosen)
            case "release" if self.live_claims:
                claim_id = self.live_claims.pop(chosen.randrange(len(self.live_claims)))
                reopen = chosen.random() < 0.5
                assert await builders.release(self.connection, claim_id, reopen=reopen) == (
                    "released"
                )
            case "quota":
                quota = chosen.randrange(self.terms.quota * 2)
                await builders.change_drop(self.connection, self.drop_id, "quota", quota)
            case "fund":
                funder_id = chosen.choice(list(self.programme.shares))
                kind = chosen.choice(("J1", "J2"))
                amount_fen = chosen.randrange(1, 100_000)
                await builders.fund(self.connection, self.programme, funder_id, amount_fen, kind)
                if kind == "J2":
                    paid_fen = chosen.randrange(1, amount_fen + 1)
                    await builders.fund(self.connection, self.programme, funder_id, paid_fen, "J3")
            case _:
                await builders.change_drop(self.connection, self.drop_id, name)
        return name

    async def _issue(self, chosen: random.Random) -> None:
        """Send new persons, persons who were here before, and requests twice in one batch."""
        count = chosen.randrange(1, 12)
        fresh = await builders.make_persons(self.connection, self.programme.city_id, count)
        persons = [
            chosen.choice(self.persons) if self.persons and chosen.random() < 0.3 else person
            for person in fresh
        ]
        keys = [chosen.choice(("a", "b", "c")) for _ in persons]
        issued = await builders.issue(
            self.connection, self.drop_id, count, persons=persons, request_keys=keys
        )
        self.persons += persons
        known = set(self.live_claims)
        self.live_claims += [claim for claim in dict.fromkeys(issued.won) if claim not in known]


async def begin(connection: asyncpg.Connection, programme: Programme, terms: DropTerms) -> History:
    """Publish a drop."""
    drop_id = await builders.make_drop(connection, programme, terms)
    await builders.publish(connection, drop_id)
    return History(connection, programme, drop_id, terms)
