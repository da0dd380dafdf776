"""What tills did to a resident's vouchers, as the resident sees it."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.claim import queries
from tests import builders, tills
from tests.builders import DropTerms, Kind
from tests.callers import Caller
from tests.claim.office import Office, claim
from tests.tills import Till

FACES = [1001, 1001, 1001, 500]


async def _won(office: Office, resident: Caller, terms: DropTerms | None = None) -> dict[str, Any]:
    drop_id = await office.open_drop(terms or DropTerms(quota=5))
    won = await claim(resident, drop_id)
    assert won.status == 201
    body: dict[str, Any] = won.body
    return body


async def _till(office: Office, won: dict[str, Any]) -> Till:
    programme_id = await office.owner.fetchval(
        "SELECT programme_id FROM campaign.drops WHERE drop_id = $1", UUID(won["drop_id"])
    )
    return await tills.enrol_till(office.owner, programme_id)


async def _shown(resident: Caller, won: dict[str, Any]) -> list[tuple[str, int]]:
    """Return state and rest of each voucher; the three ways to read them must agree."""
    listed = await resident.get("/v1/vouchers?limit=500")
    mine = [v for v in listed.body["items"] if v["claim_id"] == won["claim_id"]]
    read = await resident.get(f"/v1/claims/{won['claim_id']}")
    assert read.body == {
        **won,
        "vouchers": [
            {**voucher, "state": now["state"]}
            for voucher, now in zip(won["vouchers"], mine, strict=True)
        ],
    }
    for voucher in mine:
        assert (await resident.get(f"/v1/vouchers/{voucher['voucher_id']}")).body == voucher
    return [(voucher["state"], voucher["remaining_fen"]) for voucher in mine]


async def test_a_voucher_through_the_hands_of_a_till(office: Office) -> None:
    resident = office.resident()
    won = await _won(office, resident)
    claim_id, owner = UUID(won["claim_id"]), office.owner
    till = await _till(office, won)
    untouched = [("active", face) for face in FACES]
    assert await _shown(resident, won) == untouched

    held = await tills.redeem(owner, till, claim_id, 1, capture=False)
    taken = await tills.redeem(owner, till, claim_id, 3)
    assert await _shown(resident, won) == [
        *(("active", 1001), ("held", 0), ("active", 1001), ("redeemed", 0)),
    ]
    assert await tills.finish_hold(owner, held, "capture") == "captured"
    assert await tills.reverse(owner, taken) == "reversed"
    assert await _shown(resident, won) == [
        *(("active", 1001), ("redeemed", 0), ("active", 1001), ("active", 500)),
    ]
    assert await tills.reverse(owner, held) == "reversed"
    assert await _shown(resident, won) == untouched
    assert await builders.release(owner, claim_id, reopen=True) == "released"
    assert await _shown(resident, won) == [("released", 0)] * 4


async def test_the_vouchers_of_others_stay_what_they_are(office: Office) -> None:
    resident, neighbour = office.resident(), office.resident()
    won = await _won(office, resident)
    theirs = await claim(neighbour, won["drop_id"])
    till = await _till(office, won)
    await tills.redeem(office.owner, till, UUID(theirs.body["claim_id"]), 0)
    assert await _shown(resident, won) == [("active", face) for face in FACES]
    assert (await _shown(neighbour, theirs.body))[0] == ("redeemed", 0)
    # The claim was won once, and its answer stays what it was.
    again = await claim(neighbour, won["drop_id"])
    assert (again.status, again.raw) == (200, theirs.raw)


async def test_expiry_before_and_after_the_ledger_books_it(later: Office) -> None:
    """A voucher is over when its time is, whether the sweep has come by or not."""
    resident = later.resident()
    terms = DropTerms(pack=(Kind("meal", 100, 3), Kind("long", 100, 1, valid_days=30)))
    won = await _won(later, resident, terms)
    claim_id, owner = UUID(won["claim_id"]), later.owner
    till = await _till(later, won)
    held = await tills.redeem(owner, till, claim_id, 0, capture=False)
    taken = await tills.redeem(owner, till, claim_id, 1)
    assert await tills.finish_hold(owner, held, "release") == "released"
    await tills.advance(owner, timedelta(days=8))
    await asyncio.sleep(0.7)  # the process asks for the offset twice a second
    over = [("expired", 0), ("redeemed", 0), ("expired", 0), ("active", 100)]
    assert await _shown(resident, won) == over
    assert await tills.expire_due(owner) == 2
    assert await _shown(resident, won) == over
    # What comes back after the expiry is the funders'.
    assert await tills.reverse(owner, taken) == "reversed"
    assert (await _shown(resident, won))[1] == ("expired", 0)


async def test_a_page_is_read_at_once(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many statements for one claim as for six, and only for the claims that are shown."""
    resident = office.resident()
    sent: list[tuple[str, tuple[Any, ...]]] = []
    fetch = queries._fetch

    async def counted(
        pool: asyncpg.Pool, statement: str, *arguments: object
    ) -> list[asyncpg.Record]:
        sent.append((statement, arguments))
        return await fetch(pool, statement, *arguments)

    monkeypatch.setattr(queries, "_fetch", counted)
    statements = []
    for claims in (1, 5):
        for _ in range(claims):
            await _won(office, resident)
        sent.clear()
        listed = await resident.get("/v1/vouchers?limit=500")
        statements.append([statement for statement, _ in sent])
    assert len(listed.body["items"]) == 6 * len(FACES)
    assert len(statements[0]) == 4
    assert statements[1] == statements[0]
    sent.clear()
    assert len((await resident.get("/v1/vouchers?limit=5")).body["items"]) == 5
    [asked] = [arguments for statement, arguments in sent if "redeem.vouchers" in statement]
    assert len(asked[1]) == 2
