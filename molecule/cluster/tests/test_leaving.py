"""A machine leaves the home and joins it again, at another address, and dead ones are forgotten."""

import json
from collections.abc import Iterator

import pytest

from tests.support.home import Kubectl, eventually
from tests.support.machines import Machines

LEAVING = "molecule-3"
LEAVE = ("--limit", LEAVING, "-e", "microk8s_state=absent", "-e", f"microk8s_confirm_removal={LEAVING}")
CLAIM = "keeping/data"

pytestmark = pytest.mark.usefixtures("joined")


def test_a_founder_is_not_removed_while_others_depend_on_it(machines: Machines) -> None:
    removal = ("-e", "microk8s_state=absent", "-e", "microk8s_confirm_removal=molecule")
    told = machines.refused("playbooks/microk8s.yml", "--limit", "molecule", *removal)

    assert "molecule-2, molecule-3 would be left without a control plane" in told
    assert machines.ready() == {"molecule", "molecule-2", LEAVING}


@pytest.fixture
def kept(kubectl: Kubectl) -> Iterator[None]:
    """A volume with data on the machine that is to leave."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "keeping"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    container = {
        "name": "keeping",
        "image": kubectl.image("apps", "hello"),
        "command": ["sleep", "infinity"],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "keeping", "namespace": "keeping"},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": LEAVING},
            "containers": [container],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            "terminationGracePeriodSeconds": 0,
        },
    }
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "keeping"}}, claim, pod)
    kubectl("-n keeping wait pod/keeping --for=condition=Ready --timeout=120s")
    yield
    kubectl("delete namespace keeping --wait=false")


@pytest.mark.usefixtures("kept")
def test_a_machine_leaves_once_its_data_are_given_up(machines: Machines) -> None:
    told = machines.refused("playbooks/microk8s.yml", *LEAVE)
    assert f"the data of {CLAIM} are on {LEAVING} and nowhere else" in told
    assert not machines.nodes()[LEAVING]["spec"].get("unschedulable")

    machines.play("playbooks/microk8s.yml", *LEAVE, "-e", json.dumps({"microk8s_abandon_volumes": [CLAIM]}))
    assert set(machines.nodes()) == {"molecule", "molecule-2"}
    left = machines.host(LEAVING)
    assert "microk8s" not in left.check_output("snap list")
    assert not left.file("/var/snap/microk8s").exists
    assert "homeserver" not in left.check_output("nft list tables")


def test_it_joins_again_at_another_address(machines: Machines) -> None:
    address = machines.move(LEAVING)
    machines.play("site.yml")
    assert LEAVING in machines.ready()
    (internal,) = (
        entry["address"]
        for entry in machines.nodes()[LEAVING]["status"]["addresses"]
        if entry["type"] == "InternalIP"
    )
    assert internal == address


def test_dead_machines_are_told_and_forgotten(machines: Machines) -> None:
    dead = ("molecule-2", LEAVING)
    for name in dead:
        machines.remove(name)
    told = machines.play("playbooks/preflight.yml")
    assert all(name in told for name in dead)

    assert eventually(lambda: machines.ready() == {"molecule"}, seconds=120)
    for name in dead:
        machines.play("playbooks/forget.yml", "-e", f"node={name}")
    assert set(machines.nodes()) == {"molecule"}
