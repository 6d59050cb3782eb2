"""Addresses come and go without an effect on pods, and a home moves to another address by one run."""

import time

import pytest
import requests
from kubernetes import client, config
from testinfra.host import Host

from tests.support.home import Home, Kubectl
from tests.support.machines import Machines, changes

LINK = "visitor0"
# MicroK8s looks for changes every five seconds.
LOOKS = 12


def test_pods_do_not_notice_an_interface_that_comes_and_goes(host: Host, kubectl: Kubectl) -> None:
    """As with a VPN, a bridge of Docker, or IPv6."""
    main_process = "systemctl show --value --property=MainPID snap.microk8s.daemon-kubelite"
    before = kubectl.containers(), host.check_output(main_process)
    try:
        host.check_output(
            f"ip link add {LINK} type bridge && ip link set {LINK} up"
            f" && ip address add 192.0.2.77/24 dev {LINK} && ip address add 2001:db8::77/64 dev {LINK}"
        )
        time.sleep(LOOKS)
        assert (kubectl.containers(), host.check_output(main_process)) == before
    finally:
        host.check_output(f"ip link delete {LINK}")
    time.sleep(LOOKS)
    assert (kubectl.containers(), host.check_output(main_process)) == before


@pytest.fixture(scope="module")
def moved(home: Home, machines: Machines) -> str:
    """Move the machine, and return the output of the run that follows."""
    machines.move(home.name)
    return machines.play("site.yml")


@pytest.fixture
def api(home: Home, moved: str) -> client.CoreV1Api:
    """The cluster, by the kubeconfig on this machine."""
    assert moved
    assert home.address in home.kubeconfig.read_text()
    config.load_kube_config(str(home.kubeconfig))
    return client.CoreV1Api()


def test_the_cluster_is_at_the_new_address(home: Home, api: client.CoreV1Api) -> None:
    (node,) = api.list_node().items
    (addresses,) = (
        subset.addresses for subset in api.read_namespaced_endpoints("kubernetes", "default").subsets
    )

    assert {a.address for a in node.status.addresses if a.type == "InternalIP"} == {home.address}
    assert node.metadata.annotations["projectcalico.org/IPv4Address"].startswith(f"{home.address}/")
    assert [address.ip for address in addresses] == [home.address]


def test_the_api_trusts_the_kubelet_at_the_new_address(api: client.CoreV1Api) -> None:
    (pod,) = api.list_namespaced_pod("kube-system", label_selector="k8s-app=kube-dns").items

    assert api.read_namespaced_pod_log(pod.metadata.name, "kube-system", tail_lines=1)


@pytest.mark.usefixtures("moved")
def test_pages_are_served_at_the_new_address(home: Home) -> None:
    assert requests.get(f"https://hello.{home.domain}/", verify=home.ca, timeout=10).status_code == 200


@pytest.mark.usefixtures("moved")
def test_a_second_run_changes_nothing(machines: Machines) -> None:
    assert set(changes(machines.play("playbooks/microk8s.yml")).values()) == {0}
