"""Run the scenarios that need no logs on a second machine. It moves, is removed, then pulls all images."""

from collections.abc import Iterator

import pytest

from harness.scenario import Scenario, in_network

pytestmark = pytest.mark.scenario

SMALL = Scenario("small", lab=in_network("small", 1))


@pytest.fixture(scope="module", autouse=True)
def machine() -> Iterator[None]:
    """A new machine, whose home has no logs and traces."""
    with SMALL.created():
        SMALL.without_logs()
        yield


def test_kubernetes_apply_on_a_real_cluster() -> None:
    SMALL.install()
    kubeconfig = SMALL.directory / f".kube/{SMALL.machine}.yaml"
    SMALL.run("pytest", "-n", "5", "tests/integration", KUBECONFIG=str(kubeconfig))


def test_without_logs() -> None:
    SMALL.verify("without_logs")


def test_addresses() -> None:
    SMALL.verify("addresses")


def test_arguments() -> None:
    SMALL.verify("arguments")


def test_everything_is_removed() -> None:
    SMALL.run("ansible-playbook", "-i", str(SMALL.directory / "inventory"), "molecule/removal/converge.yml")
    SMALL.verify("removal")


def test_pulling() -> None:
    """It needs a bare machine, and comes last: what was pulled with a login needs it again."""
    SMALL.verify("pull")
