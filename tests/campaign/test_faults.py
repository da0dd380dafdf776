"""Faults of the database become problems that a client may retry, and only those do."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.db.database import Database
from shared.db.faults import translate
from shared.errors import AppError, Busy, Overloaded, Unavailable
from tests.databases import in_database


async def _fault(url: str, statement: str) -> Exception:
    database = Database(url, pool_size=1)
    try:
        with pytest.raises(Exception) as raised:  # noqa: PT011 - the test looks at what it is
            async with database.transaction(None) as session:
                await session.execute(text(statement))
    finally:
        await database.close()
    return raised.value


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("55P03", Busy),
        ("57014", Busy),
        ("40P01", Busy),
        ("40001", Busy),
        ("57P01", Unavailable),
        ("53300", Unavailable),
        ("08006", Unavailable),
        ("25006", Unavailable),
        ("23505", None),
        ("22003", None),
        ("42501", None),
        ("P0001", None),
    ],
)
async def test_what_the_server_says(
    campaign_database: str, sqlstate: str, expected: type[AppError] | None
) -> None:
    raised = f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{sqlstate}'; END $$"
    translated = translate(await _fault(campaign_database, raised))
    assert type(translated) is (expected or type(None))
    if translated is not None:
        assert translated.retryable
        assert translated.retry_after_ms


@pytest.mark.parametrize(
    "address", ["postgresql://x@127.0.0.1:1/x", "postgresql://x@/x?host=/nonexistent"]
)
async def test_a_server_that_is_away(address: str) -> None:
    assert isinstance(translate(await _fault(address, "SELECT 1")), Unavailable)


async def test_a_server_that_knows_no_such_database(campaign_database: str) -> None:
    fault = await _fault(in_database(campaign_database, "nowhere"), "SELECT 1")
    assert "does not exist" in str(fault)
    assert translate(fault) is None


def test_a_pool_that_is_used_up() -> None:
    assert isinstance(translate(PoolTimeoutError()), Overloaded)


def test_faults_of_our_own() -> None:
    assert translate(ValueError("ours")) is None
    assert translate(KeyError("ours")) is None
