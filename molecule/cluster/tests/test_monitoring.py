"""Every machine is watched by its name, closed to strangers, and in the summary."""

import re
import socket

import pytest

from harness.drills import UNRELATED
from harness.home import eventually
from harness.machines import Machines
from harness.prometheus import Prometheus

NODES = {"molecule", "molecule-2", "molecule-3"}
WORKERS = sorted(NODES - {"molecule"})
TRAEFIK = 'probe_success{job="probe",node!=""}'
KUBELET, PAGES = 10250, 443

pytestmark = pytest.mark.usefixtures("three")


def _nodes(prometheus: Prometheus, expression: str) -> set[str]:
    return {series["metric"]["node"] for series in prometheus.query(expression)}


@pytest.mark.parametrize("job", ["node", "kubelet", "cadvisor", "traefik"])
def test_every_node_is_scraped(prometheus: Prometheus, job: str) -> None:
    up = f'up{{job="{job}"}} == 1'

    assert eventually(lambda: _nodes(prometheus, up) == NODES, seconds=90), prometheus.query(
        f'up{{job="{job}"}}'
    )


def test_the_traefik_of_every_node_is_probed(prometheus: Prometheus) -> None:
    assert eventually(lambda: _nodes(prometheus, f"{TRAEFIK} == 1") == NODES, seconds=90)


def test_the_cluster_tells_of_every_node(prometheus: Prometheus) -> None:
    assert eventually(lambda: _nodes(prometheus, "k8s_node_condition_ready == 1") == NODES, seconds=90)


def test_dashboards_offer_every_node(prometheus: Prometheus) -> None:
    offered = prometheus.api("label/node/values", **{"match[]": "node_uname_info"})

    assert set(offered) == NODES


def test_nothing_but_the_watchdog_fires(prometheus: Prometheus) -> None:
    others = "|".join(["Watchdog", *UNRELATED])
    firing = f'ALERTS{{alertstate="firing",alertname!~"{others}"}}'

    assert eventually(lambda: prometheus.query(firing) == [], seconds=300), prometheus.query(firing)


def test_a_dead_traefik_of_one_node_is_seen(machines: Machines, prometheus: Prometheus) -> None:
    worker = machines.host("molecule-2")
    worker.check_output("pkill -STOP -x traefik")
    try:
        assert eventually(lambda: _nodes(prometheus, f"{TRAEFIK} == 0") == {"molecule-2"}, seconds=60)
    finally:
        worker.run("pkill -CONT -x traefik")  # unless its kubelet has ended it

    assert eventually(lambda: _nodes(prometheus, f"{TRAEFIK} == 1") == NODES, seconds=120)


def test_the_summary_lists_every_node_and_its_volumes(machines: Machines) -> None:
    output = machines.play("playbooks/status.yml")

    for name in NODES:
        assert re.search(
            rf"\b{name} +v1\.\d+\.\d+ +ready +[\d.]+ of [\d.]+ GiB +\d+ of \d+ GiB +\d+ of \d+", output
        )
    assert re.search(r"\bmolecule: [^:]*monitoring/prometheus \d+Gi", output)
    assert "not in the inventory" not in output


@pytest.mark.parametrize("other", WORKERS)
def test_machines_admit_each_other(machines: Machines, other: str) -> None:
    for one, to in (("molecule", other), (other, "molecule")):
        connect = f"timeout 5 bash -c '</dev/tcp/{machines.address(to)}/{KUBELET}'"

        assert machines.host(one).run(connect).rc == 0, f"{one} to {to}"


@pytest.mark.parametrize("worker", WORKERS)
def test_a_worker_is_closed_to_others(machines: Machines, worker: str) -> None:
    address = machines.address(worker)
    socket.create_connection((address, PAGES), timeout=3).close()

    with pytest.raises(TimeoutError):
        socket.create_connection((address, KUBELET), timeout=3)
