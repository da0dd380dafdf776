"""Creating something once, however often the request for it arrives."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastapi import Request
from pydantic import BaseModel
from sqlalchemy import BigInteger, Row, cast, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.db.database import Database
from shared.errors import IdempotencyKeyReused, InProgress, InvalidRequest
from shared.tables.campaign import IdempotencyKey

CREATED = 201
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_RETRY_AFTER_MS = 500

View = TypeVar("View", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Who asks for what. Without a `key` every attempt is a new one."""

    actor: str
    key: str | None
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Created(Generic[View]):
    """`replayed`: it was made by an earlier attempt with the same key."""

    view: View
    replayed: bool


def read_key(request: Request) -> str | None:
    """Return the Idempotency-Key of a request, bare or as an RFC 8941 string.

    Raises:
        InvalidRequest: there are several, or it is not 1 to 255 visible ASCII characters.
    """
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    quoted = _QUOTED.fullmatch(given[0])
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else given[0]
    if len(given) > 1 or _KEY.fullmatch(key) is None:
        raise InvalidRequest.at(
            "header", "Idempotency-Key", msg="must be one key of 1 to 255 visible ASCII characters"
        )
    return key


def attempt_of(request: Request, actor: str, body: BaseModel) -> Attempt:
    """Identify a request by its method, its path and what its body means."""
    meaning = f"{request.method} {request.url.path}\n{body.model_dump_json()}"
    digest = hashlib.sha256(meaning.encode()).digest()
    return Attempt(actor=actor, key=read_key(request), request_hash=digest)


async def create_once(
    database: Database,
    city_id: int,
    attempt: Attempt,
    view: type[View],
    create: Callable[[AsyncSession], Awaitable[View]],
) -> Created[View]:
    """Run `create` and keep its result under the attempt's key, both in one transaction.

    What `create` refuses is not kept: the key stays free.

    Raises:
        IdempotencyKeyReused: the key belongs to a different request.
        InProgress: another attempt with this key has not ended.
    """
    async with database.transaction([city_id]) as session:
        if attempt.key is None:
            return Created(await create(session), replayed=False)
        await _take_key(session, city_id, attempt)
        kept = await _find(session, city_id, attempt)
        if kept is not None:
            if kept.request_hash != attempt.request_hash:
                raise IdempotencyKeyReused
            return Created(view.model_validate(kept.body), replayed=True)
        made = await create(session)
        await session.execute(
            insert(IdempotencyKey).values(
                city_id=city_id,
                actor=attempt.actor,
                key=attempt.key,
                request_hash=attempt.request_hash,
                status=CREATED,
                body=made.model_dump(mode="json"),
                created_at=func.campaign.now(),
            )
        )
    return Created(made, replayed=False)


async def _take_key(session: AsyncSession, city_id: int, attempt: Attempt) -> None:
    """Hold the key to the end of the transaction, without waiting for another that has it."""
    name = f"idempotency:{city_id}:{attempt.actor}:{attempt.key}"
    lock = func.hashtextextended(name, cast(0, BigInteger))
    if not await session.scalar(select(func.pg_try_advisory_xact_lock(lock))):
        raise InProgress(retry_after_ms=_RETRY_AFTER_MS)


async def _find(
    session: AsyncSession, city_id: int, attempt: Attempt
) -> Row[bytes, dict[str, object]] | None:
    return (
        await session.execute(
            select(IdempotencyKey.request_hash, IdempotencyKey.body).where(
                IdempotencyKey.city_id == city_id,
                IdempotencyKey.actor == attempt.actor,
                IdempotencyKey.key == attempt.key,
            )
        )
    ).one_or_none()
