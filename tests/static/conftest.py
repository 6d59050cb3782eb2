"""Every inventory is rendered once for all static tests of a worker."""

import pytest

from tests.support.manifests import INVENTORIES, Object, rendered


@pytest.fixture(scope="session", params=INVENTORIES)
def inventory(request: pytest.FixtureRequest) -> str:
    """The inventories, one after another."""
    return str(request.param)


@pytest.fixture(scope="session")
def objects(inventory: str, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """The objects that one inventory renders to, without Traefik's CRDs."""
    return rendered(inventory, tmp_path_factory.mktemp(inventory))
