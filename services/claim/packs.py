"""A claim as its holder sees it: the pack is expanded here, not in the database."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from services.claim.definitions import Definition, Kind
from services.claim.outcomes import Won
from shared.clock import CITY_TIME, rfc3339
from shared.voucher_ids import VoucherIds

ACTIVE, HELD, REDEEMED, EXPIRED, RELEASED = "active", "held", "redeemed", "expired", "released"
# What the ledger says of a voucher that a till has touched. One that is open there may be over.
_SHOWN = {"held": HELD, "redeemed": REDEEMED, "expired": EXPIRED, "void": RELEASED}
_SPENDABLE = {ACTIVE, HELD}


class Touched(NamedTuple):
    """What the ledger keeps of a voucher from the first touch of a till on."""

    state: str
    remaining_fen: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A claim as the ledger keeps it; `touched` are the vouchers that have a row, by position."""

    claim_id: UUID
    claimed_at: datetime
    is_released: bool
    touched: Mapping[int, Touched]


def kind_of_each_voucher(definition: Definition) -> list[Kind]:
    """Return the kinds of a pack's vouchers, by position."""
    return [kind for kind in definition.pack for _ in range(kind.count)]


def vouchers_of(
    definition: Definition, kept: Kept, *, ids: VoucherIds, now: datetime
) -> list[dict[str, Any]]:
    """Return the vouchers of one claim in pack order, each with what is left of it."""
    claim_day = kept.claimed_at.astimezone(CITY_TIME).date()
    voucher_ids = ids.of_claim(kept.claim_id, definition.pack_vouchers)
    shown = []
    for position, kind in enumerate(kind_of_each_voucher(definition)):
        valid_until = kind.ends_at(claim_day)
        touched = kept.touched.get(position, Touched("open", kind.face_fen))
        state = _state(kept, touched, is_over=now >= valid_until)
        shown.append(
            {
                "voucher_id": voucher_ids[position],
                "kind_id": kind.kind_id,
                "category": kind.category,
                "face_fen": kind.face_fen,
                "min_spend_fen": kind.min_spend_fen,
                "valid_from": rfc3339(kept.claimed_at),
                "valid_until": rfc3339(valid_until),
                "state": state,
                "remaining_fen": touched.remaining_fen if state in _SPENDABLE else 0,
            }
        )
    return shown


def _state(kept: Kept, touched: Touched, *, is_over: bool) -> str:
    if kept.is_released:
        return RELEASED
    return _SHOWN.get(touched.state) or (EXPIRED if is_over else ACTIVE)


@lru_cache(maxsize=1024)
def _endings(definition: Definition, claim_day: date) -> list[tuple[str, str]]:
    """Return, for each voucher of the pack, what stands before and after its `valid_from`."""
    endings = []
    for kind in kind_of_each_voucher(definition):
        facts = json.dumps(
            {
                "kind_id": kind.kind_id,
                "category": kind.category,
                "face_fen": kind.face_fen,
                "min_spend_fen": kind.min_spend_fen,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )
        until = rfc3339(kind.ends_at(claim_day))
        before = f'",{facts[1:-1]},"valid_from":"'
        endings.append((before, f'","valid_until":"{until}","state":"{ACTIVE}"}}'))
    return endings


def render_win(definition: Definition, won: Won, ids: VoucherIds) -> bytes:
    """Return the JSON body of a claim that was just won or won before, as `vouchers_of` says it.

    Everything but ids and times is the same for every winner of a day, so it is written once.
    """
    claimed_at = rfc3339(won.claimed_at)
    claim_day = won.claimed_at.astimezone(CITY_TIME).date()
    vouchers = ",".join(
        f'{{"voucher_id":"{voucher_id}{before}{claimed_at}{after}'
        for voucher_id, (before, after) in zip(
            ids.of_claim(won.claim_id, definition.pack_vouchers),
            _endings(definition, claim_day),
            strict=True,
        )
    )
    return (
        f'{{"claim_id":"{won.claim_id}","drop_id":"{definition.drop_id}","serial":{won.serial},'
        f'"claimed_at":"{claimed_at}","vouchers":[{vouchers}]}}'
    ).encode()
