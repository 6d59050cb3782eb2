"""Addresses come and go without an effect on pods, and a home moves to another address by one run."""

import re
import socket
import time

import pytest
import requests
from kubernetes import client, config
from testinfra.host import Host

from tests.support.home import Home, Kubectl, eventually

LINK = "visitor0"
NEW = "250"
# MicroK8s looks for changes every five seconds.
LOOKS = 12
WITHOUT_LOGS = ("-e", '{"homeserver_logging_enabled": false}')


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


def _move(home: Home, host: Host) -> None:
    """Give the machine another address, and write it into the inventory, as its owner would."""
    old = home.address
    new = re.sub(r"\d+$", NEW, old)
    move = f"sed -i s/{old}/{new}/ /etc/systemd/network/10-host0.network /etc/hosts"
    # With a delay, because the connection of this command ends, too.
    host.check_output(
        f"systemd-run --on-active=1 sh -c '{move} && networkctl reload && networkctl reconfigure host0'"
    )
    known = home.inventory.parent / "known_hosts"
    known.write_text(f"{known.read_text()}{known.read_text().replace(old, new, 1)}")
    hosts = home.inventory / "hosts.yml"
    hosts.write_text(hosts.read_text().replace(old, new))
    home.variables["ansible_host"] = new


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def moved(home: Home, host: Host) -> str:
    """Move the machine, and return the output of the run that follows."""
    _move(home, host)
    assert eventually(lambda: _answers(home.address, 22), seconds=30)
    run = home.play("site.yml", *WITHOUT_LOGS)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


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
def test_a_second_run_changes_nothing(home: Home) -> None:
    run = home.play("playbooks/microk8s.yml", *WITHOUT_LOGS)

    assert run.returncode == 0, run.stdout + run.stderr
    assert set(re.findall(r"changed=(\d+)", run.stdout)) == {"0"}, run.stdout
