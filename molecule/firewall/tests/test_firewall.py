"""Strangers reach none of the ports that the cluster opens on the host; everything else is as it was."""

import json
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from testinfra.host import Host

from harness.home import Home, Kubectl, eventually
from harness.lan import STRANGER, with_stranger

# An address of a service, of those that Kubernetes gives nobody by itself.
UNUSED = "10.152.183.13"
SSH, PAGES, API, KUBELET = 22, {80, 443}, 16443, 10250


@pytest.fixture(scope="module")
def stranger(home: Home) -> Iterator[str]:
    """An address of this computer from which no node and no administrator connects."""
    with with_stranger(home.address):
        yield STRANGER


@pytest.fixture(scope="module")
def listening(host: Host) -> set[int]:
    """The TCP ports that the host listens on at other addresses than loopback."""
    sockets = [line.split()[3] for line in host.check_output("ss -Hltn").splitlines()]
    return {int(at.rpartition(":")[2]) for at in sockets if not at.startswith(("127.", "[::1]"))}


def _admits(home: Home, port: int, source: str = "") -> bool:
    """Whether a connection from an address gets an answer, if only that nobody listens."""
    try:
        socket.create_connection((home.address, port), timeout=2, source_address=(source, 0)).close()
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        return False
    return True


def _admitted(home: Home, ports: set[int], source: str = "") -> set[int]:
    with ThreadPoolExecutor(len(ports)) as pool:
        return {
            port
            for port, is_open in zip(ports, pool.map(lambda p: _admits(home, p, source), ports), strict=True)
            if is_open
        }


def test_a_stranger_reaches_ssh_and_the_pages_alone(home: Home, stranger: str, listening: set[int]) -> None:
    assert {API, KUBELET} <= listening
    assert _admitted(home, listening | PAGES, stranger) == {SSH} | PAGES


def test_an_administrator_reaches_the_api_as_well(home: Home, listening: set[int]) -> None:
    assert _admitted(home, listening | PAGES) == {SSH, API} | PAGES


def test_ports_of_others_stay_open(home: Home, host: Host, stranger: str) -> None:
    host.check_output("systemd-run --unit=own-server python3 -m http.server 8090")
    try:
        assert eventually(lambda: host.socket("tcp://0.0.0.0:8090").is_listening, seconds=10)
        assert _admits(home, 8090, stranger)
    finally:
        host.check_output("systemctl stop own-server")


def test_what_connects_before_a_service_exists_reaches_it_later(host: Host, kubectl: Kubectl) -> None:
    """As the network plugin does while the host boots, and all pods wait for it."""
    pod = kubectl.get("-n apps pods -l app.kubernetes.io/name=hello")["items"][0]
    port = pod["spec"]["containers"][0]["ports"][0]["containerPort"]
    # It is there before the service, which would refuse what comes before it.
    backend = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "early",
            "namespace": "apps",
            "labels": {"kubernetes.io/service-name": "early"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [pod["status"]["podIP"]]}],
        "ports": [{"port": port}],
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "early", "namespace": "apps"},
        "spec": {"clusterIP": UNUSED, "ports": [{"port": port}]},
    }
    url = f"http://{UNUSED}:{port}/"
    curl = f"curl --silent --output /dev/null --connect-timeout 30 {url}"
    host.check_output(f"systemd-run --unit=early --property=RemainAfterExit=yes {curl}")
    try:
        assert eventually(lambda: bool(host.check_output(f"ss -Hnt state syn-sent dst {UNUSED}")), 10)
        kubectl.apply(backend, service)
        said = "systemctl show --property=SubState,Result early"
        assert eventually(lambda: "running" not in host.check_output(said), 60)
        assert "Result=success" in host.check_output(said)
    finally:
        host.check_output("systemctl stop early && systemctl reset-failed")
        kubectl("-n apps delete service,endpointslice early --ignore-not-found")


def test_of_the_users_of_the_host_only_root_reaches_pods(host: Host, kubectl: Kubectl) -> None:
    """Which no network policy would stop: Prometheus would end at anybody's request."""
    service = kubectl.get("-n monitoring service prometheus")["spec"]["clusterIP"]
    (pod,) = kubectl.get("-n monitoring pods -l app.kubernetes.io/name=prometheus")["items"]
    addresses = (service, pod["status"]["podIP"])
    ask = "curl --silent --output /dev/null --max-time 5"

    for address in addresses:
        # curl's exit status of what is refused at once.
        asked = host.run(f"runuser -u nobody -- {ask} --request POST http://{address}:9090/-/quit")
        assert asked.rc == 7, asked.stderr
        host.check_output(f"{ask} --fail http://{address}:9090/-/ready")
    after = kubectl.get(f"-n monitoring pod {pod['metadata']['name']}")["status"]["containerStatuses"]
    assert after == pod["status"]["containerStatuses"]


def test_a_user_of_the_host_reaches_the_pages(home: Home, host: Host) -> None:
    name = f"hello.{home.domain}"
    ask = f"curl --silent --insecure --max-time 5 --resolve {name}:443:{home.address} https://{name}/healthz"

    host.check_output(f"runuser -u nobody -- {ask}")


def test_nobody_routes_to_pods_and_services(home: Home, kubectl: Kubectl) -> None:
    """CoreDNS is there for all pods, and has no policy."""
    service = kubectl.get("-n kube-system service kube-dns")["spec"]["clusterIP"]
    pod = kubectl.get("-n kube-system pods -l k8s-app=kube-dns")["items"][0]["status"]["podIP"]
    for address in (service, pod):
        route = [f"{address}/32", "via", home.address]
        subprocess.run(["ip", "route", "replace", *route], check=True)
        try:
            with pytest.raises(TimeoutError):
                socket.create_connection((address, 53), timeout=3)
        finally:
            subprocess.run(["ip", "route", "delete", *route], check=True)


def test_the_rules_are_loaded_at_every_start(home: Home, host: Host, stranger: str) -> None:
    host.check_output("systemctl stop homeserver-firewall && systemctl start homeserver-firewall")

    assert host.service("homeserver-firewall").is_enabled
    assert not _admits(home, KUBELET, stranger)


def test_rules_that_somebody_removed_come_back(home: Home, host: Host, stranger: str) -> None:
    host.check_output("nft delete table inet homeserver")
    assert _admits(home, KUBELET, stranger)

    run = home.play("playbooks/stages/firewall.yml")
    assert run.returncode == 0, run.stdout + run.stderr
    assert not _admits(home, KUBELET, stranger)


def test_a_control_machine_does_not_lock_itself_out(home: Home) -> None:
    run = home.play(
        "playbooks/stages/firewall.yml", "-e", json.dumps({"homeserver_admin_networks": ["192.0.2.0/24"]})
    )
    after = _admits(home, API)
    restored = home.play("playbooks/stages/firewall.yml")

    assert run.returncode != 0
    assert "add this machine's network to homeserver_admin_networks" in " ".join(run.stdout.split())
    assert after
    assert restored.returncode == 0, restored.stdout + restored.stderr


def test_it_can_be_switched_off(home: Home, host: Host, stranger: str) -> None:
    off = home.play("playbooks/stages/firewall.yml", "-e", json.dumps({"firewall_enabled": False}))
    tables, is_open = host.check_output("nft list tables"), _admits(home, KUBELET, stranger)
    on = home.play("playbooks/stages/firewall.yml")

    assert off.returncode == 0, off.stdout + off.stderr
    assert "homeserver" not in tables
    assert is_open
    assert on.returncode == 0, on.stdout + on.stderr
