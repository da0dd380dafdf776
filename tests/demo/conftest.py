"""One real browser for every test that looks at a page."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.demo.chromium import (
    Chromium,
    ChromiumMissingError,
    find_chromium,
    running_chromium,
)


@pytest_asyncio.fixture(scope="package")
async def chromium(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chromium]:
    try:
        path = find_chromium()
    except ChromiumMissingError as reason:
        pytest.skip(str(reason))
    async with running_chromium(path, tmp_path_factory.mktemp("profile")) as browser:
        yield browser
