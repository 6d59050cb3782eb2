"""A machine leaves the home, unless something would be lost by it."""

import json
import re
from collections.abc import Iterator

import pytest

from harness.home import Kubectl
from harness.leftovers import left_behind
from harness.machines import Machines

LEAVING = "molecule-3"
CLAIM = "keeping/data"
LEAVE = ("--limit", LEAVING, "-e", "microk8s_state=absent", "-e", f"microk8s_confirm_removal={LEAVING}")
GIVE_UP = ("-e", json.dumps({"microk8s_abandon_volumes": [CLAIM]}))
SECONDS = 10

pytestmark = pytest.mark.usefixtures("three")


def test_a_founder_is_not_removed_while_others_depend_on_it(machines: Machines) -> None:
    removal = ("-e", "microk8s_state=absent", "-e", "microk8s_confirm_removal=molecule")
    told = machines.refused("playbooks/microk8s.yml", "--limit", "molecule", *removal)

    assert "molecule-2, molecule-3 would be left without a control plane" in told
    assert machines.ready() == {"molecule", "molecule-2", LEAVING}


# Its quotes are not those of the shell that it goes through.
_KEEP = """import pathlib, time
pathlib.Path("/data/kept").write_text("precious")
time.sleep(10**6)
"""


@pytest.fixture(scope="module")
def kept(machines: Machines) -> Iterator[str]:
    """A pod that has written into a volume on the machine that is to leave; its UID."""
    kubectl = machines.kubectl
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "keeping"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    container = {
        "name": "keeping",
        "image": kubectl.image("apps", "hello"),
        "command": ["python", "-c", _KEEP],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "keeping", "namespace": "keeping", "labels": {"app": "keeping"}},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": LEAVING},
            "containers": [container],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            "terminationGracePeriodSeconds": 0,
        },
    }
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "keeping"}}, claim, pod)
    kubectl("-n keeping wait pod/keeping --for=condition=Ready --timeout=120s")
    yield str(kubectl.get("-n keeping pod keeping")["metadata"]["uid"])
    kubectl("delete namespace keeping --wait=false")


def _has_all(machines: Machines, kept: str) -> bool:
    """Tell whether the machine, the pod and its data are as they were."""
    pod = machines.kubectl.get("-n keeping pod keeping")
    data = machines.kubectl("-n keeping exec keeping -- python -c 'print(open(\"/data/kept\").read())'")
    is_whole = LEAVING in machines.ready() and "unschedulable" not in machines.nodes()[LEAVING]["spec"]
    return is_whole and pod["metadata"]["uid"] == kept and data.strip() == "precious"


def test_a_machine_with_data_stays(machines: Machines, kept: str) -> None:
    told = machines.refused("playbooks/microk8s.yml", *LEAVE)

    assert f"the data of {CLAIM} are on {LEAVING} and nowhere else" in told
    assert _has_all(machines, kept)


@pytest.fixture
def guarded(kubectl: Kubectl) -> Iterator[None]:
    """A disruption budget that never lets the pod go."""
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "guard", "namespace": "keeping"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "keeping"}}},
    }
    kubectl.apply(budget)
    kubectl("-n keeping wait pdb/guard --for=jsonpath='{.status.currentHealthy}'=1 --timeout=30s")
    yield
    kubectl("-n keeping delete pdb guard")


@pytest.mark.usefixtures("guarded")
def test_a_machine_with_a_pod_that_must_not_end_stays(machines: Machines, kept: str) -> None:
    bound = ("-e", f"microk8s_drain_timeout_seconds={SECONDS}")
    told = " ".join(machines.refused("playbooks/microk8s.yml", *LEAVE, *GIVE_UP, *bound).split())

    assert re.search(
        rf"{LEAVING} still has pods after {SECONDS} s \(microk8s_drain_timeout_seconds\), and stays as it is:"
        r" .*keeping.*disruption budget.* -> give these pods another replica or another node",
        told,
    )
    assert _has_all(machines, kept)


@pytest.mark.usefixtures("kept")
def test_a_machine_leaves_once_its_data_are_given_up(machines: Machines) -> None:
    machines.play("playbooks/microk8s.yml", *LEAVE, *GIVE_UP)

    assert set(machines.nodes()) == {"molecule", "molecule-2"}
    assert left_behind(machines.host(LEAVING)) == []
