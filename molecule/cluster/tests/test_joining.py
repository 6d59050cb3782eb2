"""Two machines of the inventory join the home, and nothing else notices."""

import re

import pytest
from testinfra.host import Host

from harness import certificates
from harness.home import Kubectl, eventually
from harness.machines import JOIN_URL, LABELS, TAINTS, Joined, Machines, changes

WORKERS = ("molecule-2", "molecule-3")

pytestmark = pytest.mark.usefixtures("joined")


def test_every_machine_is_a_ready_node_of_one_version(machines: Machines) -> None:
    versions = {node["status"]["nodeInfo"]["kubeletVersion"] for node in machines.nodes().values()}

    assert machines.ready() == {"molecule", *WORKERS}
    assert len(versions) == 1
    for name in WORKERS:  # also on the one whose first attempt was killed
        assert not machines.host(name).file("/var/snap/microk8s/current/var/lock/join-in-progress").exists


def test_pods_that_ran_before_do_not_notice(machines: Machines, joined: Joined) -> None:
    now = machines.containers()

    assert {uid: now.get(uid) for uid in joined.before} == joined.before


def test_machines_encrypt_if_their_kernels_can(machines: Machines, joined: Joined) -> None:
    felix = machines.kubectl.get("felixconfigurations.crd.projectcalico.org default")["spec"]
    able = {
        name: machines.host(name).run("test -e /sys/module/wireguard || modprobe -nq wireguard").rc == 0
        for name in machines.nodes()
    }
    told = " ".join(joined.output.split())

    assert felix["wireguardEnabled"]
    assert ("its kernel has no WireGuard" in told) is not all(able.values())
    assert eventually(lambda: _encrypting(machines) == able, 60)


def _encrypting(machines: Machines) -> dict[str, bool]:
    key = "projectcalico.org/WireguardPublicKey"
    return {name: bool(node["metadata"]["annotations"].get(key)) for name, node in machines.nodes().items()}


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
    # It has a shell, and few programs.
    command = "sh -c 'read node </etc/hostname && echo $node'"
    assert kubectl(f"-n kube-system exec {name} -c calico-node -- {command}").strip() == worker


def test_the_token_is_used_up_and_was_not_shown(host: Host, joined: Joined) -> None:
    assert host.file("/var/snap/microk8s/current/credentials/cluster-tokens.txt").content_string.strip() == ""
    assert not JOIN_URL.search(joined.output)


def test_a_second_run_changes_nothing(machines: Machines) -> None:
    assert set(changes(machines.play("site.yml")).values()) == {0}


def test_a_node_whose_network_was_not_verified_is_verified_by_the_next_run(machines: Machines) -> None:
    """A run that is killed after the join leaves it so."""
    label = "node-restriction.kubernetes.io/homeserver-host"
    machines.kubectl(f"label node molecule-2 {label}-")
    told = machines.play("playbooks/microk8s.yml")

    verified = r"TASK \[.*Verify that its pods reach those of the founder\] \*+\n(.+): \[(.+)\]"
    assert re.findall(verified, told) == [("ok", "molecule-2"), ("skipping", "molecule-3")]
    assert machines.nodes()["molecule-2"]["metadata"]["labels"][label] == "molecule-2"


def test_a_workers_certificates_are_renewed(machines: Machines, kubectl: Kubectl) -> None:
    worker = machines.host("molecule-2")
    for name in ("kubelet", "proxy"):
        certificates.shorten(worker, machines.host("molecule"), name, days=20)

    machines.play("playbooks/microk8s.yml")

    assert all(certificates.lasts(worker, name, days=3000) for name in ("kubelet", "proxy"))
    assert kubectl("get --raw /api/v1/nodes/molecule-2/proxy/healthz") == "ok"


def test_a_dry_run_reports_no_change(machines: Machines) -> None:
    earlier = ("playbooks/stages/preflight.yml", "playbooks/stages/firewall.yml")

    assert set(changes(machines.play("playbooks/microk8s.yml", "--check", "--diff", *earlier)).values()) == {
        0
    }


def test_a_taint_that_the_inventory_no_longer_has_is_taken_away(machines: Machines) -> None:
    machines.describe("molecule-2", microk8s_node_labels=LABELS)
    machines.play("playbooks/microk8s.yml", "--limit", "molecule-2")
    node = machines.nodes()["molecule-2"]

    assert "taints" not in node["spec"]
    assert node["metadata"]["labels"].items() >= LABELS.items()
