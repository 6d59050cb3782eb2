"""Fixtures of all scenarios' tests."""

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from testinfra.host import Host

from harness import connections, lan
from harness.chaos import Victim
from harness.home import Home, Kubectl
from harness.jaeger import Jaeger
from harness.logs import Logs
from harness.machines import Machines
from harness.mail import Mailbox, receiving
from harness.prometheus import Prometheus
from harness.recorder import Recorder, recording


def pytest_configure(config: pytest.Config) -> None:
    """Let commands on a machine of the developer's own run as root, as they do in the lab."""
    config.option.sudo = os.environ.get("HOMESERVER_SCENARIO_USER", "root") != "root"


@pytest.fixture(scope="session")
def home(pytestconfig: pytest.Config) -> Home:
    """The first control-plane host of the inventory."""
    return Home.of(pytestconfig.getoption("ansible_inventory"))


@pytest.fixture(scope="session", autouse=True)
def _connections() -> Iterator[None]:
    """Connect once for all commands."""
    with connections.shared():
        yield


@pytest.fixture(scope="session", autouse=True)
def _names(home: Home) -> Iterator[None]:
    """Resolve all names of the home's domain to the machine, like the owner's DNS."""
    resolve = socket.getaddrinfo

    def at_home(host: str, *args: Any, **kwargs: Any) -> Any:
        return resolve(home.address if host.endswith(f".{home.domain}") else host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", at_home)
        yield


@pytest.fixture(scope="session", autouse=True)
def recorder(home: Home) -> Iterator[Recorder]:
    """The receiver of alerts; it always listens, because an unreachable one causes an alert."""
    with recording(8098, home.tests) as listening:  # the port in variables.yml
        yield listening


@pytest.fixture(scope="session", autouse=True)
def mailbox(home: Home) -> Iterator[Mailbox]:
    """The owner's mailbox."""
    with receiving(home.tests) as received:
        yield received


@pytest.fixture(scope="session", autouse=True)
def _lan(home: Home) -> Iterator[None]:
    """A server on the LAN; it always listens, because a route without a server causes an alert."""
    with lan.serving(home.tests):
        yield


@pytest.fixture(scope="module")
def kubectl(host: Host) -> Kubectl:
    """The machine's kubectl."""
    return Kubectl(host)


@pytest.fixture(scope="session")
def machines(home: Home) -> Machines:
    """The machines of the home."""
    return Machines(home)


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
    """All logs of the home."""
    return Logs(host, home, kubectl)


@pytest.fixture(scope="module")
def victim(home: Home, kubectl: Kubectl, logs: Logs, recorder: Recorder) -> Victim:
    """The home, to which faults happen."""
    return Victim(home, Machines(home), kubectl, logs, Prometheus(home), recorder)
