"""What the scenarios' tests share."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from testinfra.host import Host

from tests.home import Home, Kubectl
from tests.jaeger import Jaeger
from tests.logs import Logs
from tests.prometheus import Prometheus


@pytest.fixture(scope="session")
def home(pytestconfig: pytest.Config) -> Home:
    """The first control-plane host of the inventory that pytest was given."""
    return Home.of(pytestconfig.getoption("ansible_inventory"))


@pytest.fixture(scope="session", autouse=True)
def _names(home: Home) -> Iterator[None]:
    """Every name of the home's domain is the machine, as the owner's DNS would have it."""
    resolve = socket.getaddrinfo

    def at_home(host: str, *args: Any, **kwargs: Any) -> Any:
        return resolve(home.address if host.endswith(f".{home.domain}") else host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", at_home)
        yield


@pytest.fixture(scope="module")
def kubectl(host: Host) -> Kubectl:
    """Kubernetes, by way of the machine."""
    return Kubectl(host)


@pytest.fixture(scope="session")
def prometheus(home: Home) -> Prometheus:
    """The home's Prometheus."""
    return Prometheus(home)


@pytest.fixture(scope="session")
def jaeger(home: Home) -> Jaeger:
    """The home's Jaeger."""
    return Jaeger(home)


@pytest.fixture(scope="module")
def logs(host: Host, home: Home, kubectl: Kubectl) -> Logs:
    """All that the home has logged."""
    return Logs(host, home, kubectl)
