"""A home moves to another address by one run."""

import pytest
import requests
from kubernetes import client, config

from harness.home import Home
from harness.machines import Machines, changes


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
