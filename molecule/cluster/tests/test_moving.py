"""Machines get other addresses: the founder, and one that had left and joins again."""

import pytest

from harness.home import Kubectl, eventually
from harness.machines import Machines

FOUNDER, STAYING, BACK = "molecule", "molecule-2", "molecule-3"
BACKEND = "/var/snap/microk8s/current/var/kubernetes/backend"


pytestmark = pytest.mark.usefixtures("three")


@pytest.fixture(scope="module")
def moved(machines: Machines) -> str:
    """Move both, and return what the run prints that follows."""
    for name in (BACK, FOUNDER):
        machines.move(name)
    return machines.play("site.yml")


def test_the_others_find_the_founder_at_its_new_address(machines: Machines, moved: str) -> None:
    assert f"{STAYING} joins the cluster" not in moved, "a member needs no token for it"
    assert f"{BACK} joins the cluster of {FOUNDER}: it is not part of the cluster" in moved
    assert machines.ready() == {FOUNDER, STAYING, BACK}


@pytest.mark.usefixtures("moved")
def test_the_cluster_has_the_new_addresses(machines: Machines) -> None:
    told = {
        name: {entry["address"] for entry in node["status"]["addresses"] if entry["type"] == "InternalIP"}
        for name, node in machines.nodes().items()
    }

    assert told == {name: {machines.address(name)} for name in (FOUNDER, STAYING, BACK)}


@pytest.mark.usefixtures("moved")
@pytest.mark.parametrize("node", [FOUNDER, STAYING, BACK])
def test_every_machine_serves(machines: Machines, node: str) -> None:
    assert eventually(lambda: machines.ask(node) == "200", seconds=30)


@pytest.mark.usefixtures("moved")
@pytest.mark.parametrize("node", [STAYING, BACK])
def test_pods_of_different_machines_reach_each_other(kubectl: Kubectl, node: str) -> None:
    (dns,) = kubectl.get("-n kube-system pods -l k8s-app=kube-dns")["items"]
    addresses = {"service": ("kubernetes.default", 443), "pod": (dns["status"]["podIP"], 53)}

    assert kubectl.reached(addresses, node=node) == {"service": True, "pod": True}


@pytest.mark.usefixtures("moved")
def test_the_datastore_no_longer_needs_the_old_address(machines: Machines) -> None:
    """It would not start any more after a reboot."""
    founder = machines.host(FOUNDER)

    assert (
        f"Address: {machines.address(FOUNDER)}:19001" in founder.file(f"{BACKEND}/info.yaml").content_string
    )
    assert f"{machines.address(FOUNDER)}:19001" in founder.check_output("ss --listening --tcp --numeric")
