"""The look-ups of the claim path use their indexes, on a table that is empty and on a full one.

A plan inside a function shows in no EXPLAIN, so the server's own counters are read: how often each
table was scanned from end to end, and how many entries each index gave. A session keeps its plans
while a drop fills the tables, so one session is asked before and after; another one plans anew.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest_asyncio

from tests import builders
from tests.builders import DropTerms
from tests.schema.conftest import Connect
from tests.schema.counters import Counters, counted
from tests.schema.issuing import Batch, resolve

FULL = 50_000
ASKED = 100
# Per attempt: what a look-up by a whole unique key reads, with room for dead entries.
ENTRIES_PER_ATTEMPT_MAX = 4

FILLED = ("claim.claims", "claim.persons", "claim.person_identities")


@dataclass(frozen=True, slots=True)
class Crowded:
    """A drop, and the sessions and persons that ask about it."""

    owner: asyncpg.Connection
    session: asyncpg.Connection
    drop_id: UUID

    async def counted(
        self, session: asyncpg.Connection, work: Callable[[], Awaitable[object]]
    ) -> Counters:
        """Return what `work`, done in `session`, added to the counters."""
        return await counted(self.owner, session, work)


@pytest_asyncio.fixture(scope="module")
async def empty(owner: asyncpg.Connection, claimant: asyncpg.Connection) -> Crowded:
    programme = await builders.make_programme(owner, funded_fen=10**12)
    # Autovacuum would scan the tables in between, and give the planner its figures at random.
    for table in FILLED:
        await owner.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    # Known to be empty, all ways cost the same. An unknown size would be taken for ten pages.
    await owner.execute(f"ANALYZE {', '.join(FILLED)}")
    terms = DropTerms(quota=10 * FULL, limit_per_holder=3)
    drop_id = await builders.make_drop(owner, programme, terms)
    await builders.publish(owner, drop_id)
    return Crowded(owner, claimant, drop_id)


@pytest_asyncio.fixture(scope="module")
async def full(empty: Crowded) -> Crowded:
    """The same drop, fifty thousand claims later, in the same session."""
    for _ in range(FULL // 500):
        persons = await builders.make_persons(empty.session, 1, 500)
        answer = await Batch.of(empty.drop_id, persons).send(empty.session)
        assert answer.outcomes == ["issued"] * 500
    return empty


async def test_on_an_empty_table(empty: Crowded) -> None:
    await _claims_use_their_indexes(empty, empty.session)


async def test_on_a_full_table_with_the_plans_of_an_empty_one(full: Crowded) -> None:
    await _claims_use_their_indexes(full, full.session)


async def test_on_a_full_table_with_new_plans(full: Crowded, connect_as: Connect) -> None:
    async with connect_as("claim") as session:
        await _claims_use_their_indexes(full, session)
    await full.owner.execute(f"ANALYZE {', '.join(FILLED)}")
    async with connect_as("claim") as session:
        await _claims_use_their_indexes(full, session)


async def _claims_use_their_indexes(crowded: Crowded, session: asyncpg.Connection) -> None:
    hashes = [os.urandom(32) for _ in range(ASKED)]
    persons: list[UUID] = []

    async def mint() -> None:
        persons.extend(await resolve(session, hashes))

    minted = await crowded.counted(session, mint)
    _no_whole_scan(minted)
    assert minted.scans["person_identities_pkey"] >= 2 * ASKED

    known = await crowded.counted(session, lambda: resolve(session, hashes))
    _no_whole_scan(known)
    assert known.scans["person_identities_pkey"] >= ASKED
    _reads_few(known, "person_identities_pkey")

    batch = Batch.of(crowded.drop_id, persons)
    issued = await crowded.counted(session, lambda: batch.send(session))
    _no_whole_scan(issued)
    # Served before? Which ordinals are taken? How many were released?
    assert issued.scans["claims_live_person_key"] >= 2 * ASKED
    assert issued.scans["claims_released_person_idx"] >= ASKED
    assert issued.scans["drop_ordinals_pkey"] >= ASKED
    assert "claims_serial_key" not in issued.scans, "it walks through the whole drop"
    _reads_few(issued, "claims_live_person_key", "claims_released_person_idx", "claims_pkey")

    replayed = await crowded.counted(session, lambda: batch.send(session))
    _no_whole_scan(replayed)
    assert replayed.scans["claims_live_person_key"] >= ASKED
    _reads_few(replayed, "claims_live_person_key", "claims_released_person_idx", "claims_pkey")

    found = await crowded.counted(session, lambda: _find(session, crowded.drop_id, hashes))
    _no_whole_scan(found)
    assert found.scans["person_identities_pkey"] >= ASKED
    assert found.scans["claims_live_person_key"] >= ASKED
    assert "claims_serial_key" not in found.scans
    _reads_few(found, "person_identities_pkey", "claims_live_person_key", "claims_pkey")


async def test_a_subject_that_two_processes_meet_costs_no_scan(
    full: Crowded, connect_as: Connect
) -> None:
    """The second one minted a person for nothing; undoing that must not search the claims."""
    hashes = [os.urandom(32) for _ in range(3)]
    async with connect_as("claim") as first, connect_as("claim") as second:
        transaction = first.transaction()
        await transaction.start()
        theirs = await resolve(first, hashes)

        async def lose() -> None:
            losing = asyncio.ensure_future(resolve(second, hashes[::-1]))
            await asyncio.sleep(0.1)
            assert not losing.done(), "it waits for the first one's subjects"
            await transaction.commit()
            assert await losing == theirs[::-1]

        lost = await full.counted(second, lose)
    _no_whole_scan(lost)
    assert max(lost.entries.values(), default=0) <= ENTRIES_PER_ATTEMPT_MAX * len(hashes)
    nameless = await full.owner.fetchval(
        "SELECT count(*) FROM claim.persons AS p WHERE NOT EXISTS"
        " (SELECT 1 FROM claim.person_identities AS i WHERE i.person_id = p.person_id)"
    )
    assert nameless == 0


async def _find(session: asyncpg.Connection, drop_id: UUID, hashes: Sequence[bytes]) -> None:
    rows = await session.fetch(
        "SELECT * FROM claim.find_claims(1::smallint, $1, 1::smallint, $2, $3)",
        *(drop_id, hashes, [""] * len(hashes)),
    )
    assert len(rows) == len(hashes)


def _no_whole_scan(counters: Counters) -> None:
    assert counters.whole_scans == {}


def _reads_few(counters: Counters, *indexes: str) -> None:
    """An index that is entered by its first column alone reads everybody's entries."""
    for index in indexes:
        assert counters.entries.get(index, 0) <= ENTRIES_PER_ATTEMPT_MAX * ASKED, index
