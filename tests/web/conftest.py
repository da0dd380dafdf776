from collections.abc import Iterator

import pytest

from tests.web.serving import SmallServer, serving


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallServer]:
    with serving(tmp_path_factory.mktemp("small")) as server:
        yield server
