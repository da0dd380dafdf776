"""The invariants over the cities of a member of staff."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.ledger.resources import Resources, driver_connection
from services.ledger.schemas import CheckView, InvariantsView
from shared.auth.cities import visible_cities
from shared.auth.principals import Principal
from shared.bookkeeping.invariants import check_books, check_gates, is_sound
from shared.errors import Overloaded, Unavailable
from shared.gate.gate import GateError

_PATIENCE_S = 30


async def audit(opened: Resources, staff: Principal) -> InvariantsView:
    """Check the books of these cities and the gates of their drops.

    Raises:
        Overloaded: other checks did not end in time.
        Unavailable: the gate does not answer, so nothing can be said about it.
    """
    cities = await visible_cities(opened.database, staff)
    async with _alone(opened.auditing), driver_connection(opened.database) as connection:
        checks = await check_books(connection, cities)
        try:
            checks.append(await check_gates(connection, opened.gate, cities))
        except GateError as error:
            raise Unavailable(
                "The gate does not answer.", retry_after_ms=random.randint(1000, 3000)
            ) from error
    return InvariantsView(
        sound=is_sound(checks), checks=[CheckView.model_validate(check) for check in checks]
    )


@asynccontextmanager
async def _alone(auditing: asyncio.Lock) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await auditing.acquire()
    except TimeoutError:
        raise Overloaded(retry_after_ms=random.randint(5000, 15000)) from None
    try:
        yield
    finally:
        auditing.release()
