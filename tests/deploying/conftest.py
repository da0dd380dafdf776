import pytest

from tests.deploying.rendering import OVERLAYS, Manifests


@pytest.fixture(scope="session", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> Manifests:
    """Each overlay in turn, rendered once."""
    return Manifests(request.param)


@pytest.fixture(scope="session")
def prod() -> Manifests:
    return Manifests("prod")
