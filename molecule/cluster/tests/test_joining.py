"""Two machines of the inventory join the home, and nothing else notices."""

import re

import pytest
from testinfra.host import Host

from tests.support.home import Kubectl
from tests.support.machines import LABELS, TAINTS, Joined, Machines, changes

WORKERS = ("molecule-2", "molecule-3")
JOIN_URL = re.compile(r"[0-9a-f]{32}/[0-9a-f]{12}")

pytestmark = pytest.mark.usefixtures("joined")


def test_every_machine_is_a_ready_node_of_one_version(machines: Machines) -> None:
    versions = {node["status"]["nodeInfo"]["kubeletVersion"] for node in machines.nodes().values()}

    assert machines.ready() == {"molecule", *WORKERS}
    assert len(versions) == 1


def test_pods_that_ran_before_do_not_notice(machines: Machines, joined: Joined) -> None:
    now = machines.containers()

    assert {uid: now.get(uid) for uid in joined.before} == joined.before


def test_its_labels_and_taints_are_those_of_the_inventory(machines: Machines) -> None:
    node = machines.nodes()["molecule-2"]

    assert node["metadata"]["labels"].items() >= LABELS.items()
    assert node["spec"]["taints"] == TAINTS


@pytest.mark.parametrize("worker", WORKERS)
def test_its_pods_reach_names_services_and_pods_of_other_nodes(kubectl: Kubectl, worker: str) -> None:
    (dns,) = kubectl.get("-n kube-system pods -l k8s-app=kube-dns")["items"]
    addresses = {"service": ("kubernetes.default", 443), "pod": (dns["status"]["podIP"], 53)}

    assert dns["spec"]["nodeName"] == "molecule"
    assert kubectl.reached(addresses, node=worker) == {"service": True, "pod": True}


@pytest.mark.parametrize("worker", WORKERS)
def test_its_pods_are_reached_by_the_api(kubectl: Kubectl, worker: str) -> None:
    (pod,) = kubectl.get(
        f"-n kube-system pods -l k8s-app=calico-node --field-selector=spec.nodeName={worker}"
    )["items"]
    name = pod["metadata"]["name"]

    assert kubectl(f"-n kube-system logs {name} -c calico-node --tail=1")
    assert kubectl(f"-n kube-system exec {name} -c calico-node -- cat /etc/hostname").strip() == worker


def test_the_token_is_used_up_and_was_not_shown(host: Host, joined: Joined) -> None:
    assert host.file("/var/snap/microk8s/current/credentials/cluster-tokens.txt").content_string.strip() == ""
    assert not JOIN_URL.search(joined.output)


def test_a_second_run_changes_nothing(machines: Machines) -> None:
    assert changes(machines.play("site.yml")) == {"0"}


def test_a_dry_run_reports_no_change(machines: Machines) -> None:
    for playbook in ("preflight", "firewall", "microk8s"):
        assert changes(machines.play(f"playbooks/{playbook}.yml", "--check", "--diff")) == {"0"}
