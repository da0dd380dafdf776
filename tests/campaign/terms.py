"""Bodies that the service accepts, and shortcuts to what they create."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.clock import rfc3339
from tests.callers import Caller

Body = dict[str, Any]
CITY = "330100"


def moment(**ahead: float) -> str:
    """Return the time so far ahead, as clients write it."""
    return rfc3339(datetime.now(UTC) + timedelta(**ahead))


def funder(funder_id: str, share_bp: object, **other: object) -> Body:
    return {
        "funder_id": funder_id,
        "name": f"Funder {funder_id}",
        "kind": "government",
        "share_bp": share_bp,
        "mode": "cash",
        **other,
    }


def programme_terms(**other: object) -> Body:
    """Two thirds from the city in cash, the rest pledged by a platform."""
    return {
        "name": "Autumn vouchers 秋季",
        "city_code": CITY,
        "funders": [
            funder("city", 6667),
            funder("platform", 3333, kind="platform", mode="pledge"),
        ],
        **other,
    }


def kind(kind_id: str, **other: object) -> Body:
    return {
        "kind_id": kind_id,
        "name": f"Kind {kind_id}",
        "category": "catering",
        "face_fen": 1001,
        "min_spend_fen": 4000,
        "count": 3,
        "valid_days": 7,
        "refund_policy": "restore",
        **other,
    }


def drop_terms(programme_id: str, **other: object) -> Body:
    """A drop that is open now; of a pack's 3503 fen, 2335 are the city's and 1168 the platform's.

    1001 at 6667 : 3333 is 667 + 334 and 500 is 333 + 167 (333.35 and 166.65).
    """
    return {
        "programme_id": programme_id,
        "name": "Friday evening",
        "mode": "grab",
        "admission": "open",
        "opens_at": moment(hours=-1),
        "closes_at": moment(hours=1),
        "quota": 10,
        "pack": [kind("meal"), kind("book", face_fen=500, count=1)],
        "rail": "bank",
        **other,
    }


def merchant_terms(*programmes: str, **other: object) -> Body:
    return {
        "name": "Noodle shop 面馆",
        "city_code": CITY,
        "categories": ["catering", "books"],
        "programmes": list(programmes),
        **other,
    }


VOID = {"reason": "claimed by a robot", "reopen": True}

PACK_FEN = 3503
CITY_PACK_FEN = 3 * 667 + 333
PLATFORM_PACK_FEN = 3 * 334 + 167


async def make_programme(operator: Caller, **other: object) -> str:
    answer = await operator.post("/v1/programmes", programme_terms(**other))
    assert answer.status == 201, answer.body
    return str(answer.body["programme_id"])


async def fund(operator: Caller, programme_id: str, funder_id: str, amount_fen: int) -> None:
    answer = await operator.post(
        f"/v1/programmes/{programme_id}/funding",
        {"funder_id": funder_id, "amount_fen": amount_fen, "reference": "receipt 1"},
    )
    assert answer.status == 201, answer.body


async def make_drop(operator: Caller, programme_id: str, **other: object) -> str:
    answer = await operator.post("/v1/drops", drop_terms(programme_id, **other))
    assert answer.status == 201, answer.body
    return str(answer.body["drop_id"])


async def make_live_drop(operator: Caller, **other: object) -> tuple[str, str]:
    """Make, fund and publish a drop; each funder has paid or promised 100,000 fen."""
    programme_id = await make_programme(operator)
    await fund(operator, programme_id, "city", 100_000)
    await fund(operator, programme_id, "platform", 100_000)
    drop_id = await make_drop(operator, programme_id, **other)
    answer = await operator.post(f"/v1/drops/{drop_id}/publish")
    assert answer.status == 200, answer.body
    return programme_id, drop_id


async def make_merchant(operator: Caller, *programmes: str, **other: object) -> str:
    answer = await operator.post("/v1/merchants", merchant_terms(*programmes, **other))
    assert answer.status == 201, answer.body
    return str(answer.body["merchant_id"])


async def make_terminal(operator: Caller, merchant_id: str) -> Body:
    answer = await operator.post(f"/v1/merchants/{merchant_id}/terminals", {})
    assert answer.status == 201, answer.body
    made: Body = answer.body
    return made
