"""Every inventory is rendered once for all static tests of a worker."""

from collections.abc import Callable
from functools import cache

import pytest

from harness.manifests import INVENTORIES, Object, rendered


@pytest.fixture(scope="session", params=INVENTORIES)
def inventory(request: pytest.FixtureRequest) -> str:
    """The inventories, one after another."""
    return str(request.param)


@pytest.fixture(scope="session")
def objects_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Object]]:
    """The objects that an inventory renders to, without Traefik's CRDs."""
    return cache(lambda inventory: rendered(inventory, tmp_path_factory.mktemp(inventory)))


@pytest.fixture
def objects(inventory: str, objects_of: Callable[[str], list[Object]]) -> list[Object]:
    """The same of the inventories, one after another."""
    return objects_of(inventory)
