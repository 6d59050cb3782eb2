"""A machine loses its power: the others go on, its owner is told, and it comes back by itself.

First a worker, then the founder.
"""

import re
import time
from collections import Counter
from collections.abc import Iterable

import pytest
from testinfra.host import Host

from harness.drills import UNRELATED
from harness.home import Kubectl, eventually
from harness.machines import Machines, PowerCut, changes
from harness.prometheus import Prometheus
from harness.recorder import Message, Recorder

NODES = ("molecule", "molecule-2", "molecule-3")
# Some of those that have no data on their node, by namespace, and how many pods each has.
MOVING = {"apps": ("hello", 2), "traefik": ("whoami", 1), "monitoring": ("blackbox-exporter", 1)}
ELSEWHERE = 90  # seconds after a power cut
ALONE = 45  # seconds without the founder: any probe that fails has ended its container by then

pytestmark = pytest.mark.usefixtures("three")


def test_pods_without_data_run_elsewhere_soon(machines: Machines, power_cut: PowerCut) -> None:
    found: dict[str, list[str]] = {}

    def elsewhere() -> bool:
        for namespace, (app, _) in MOVING.items():
            found[app] = [node for node in machines.pods(namespace, app).values() if node != power_cut.node]
        return all(len(found[app]) >= wanted for app, wanted in MOVING.values())

    assert eventually(elsewhere, seconds=ELSEWHERE - power_cut.seconds), found


def test_no_request_to_another_node_fails_afterwards(
    machines: Machines, kubectl: Kubectl, power_cut: PowerCut
) -> None:
    slices = kubectl.get("-n apps endpointslices -l kubernetes.io/service-name=hello")["items"]
    asked = {each["nodeName"] for part in slices for each in part["endpoints"] if each["conditions"]["ready"]}

    assert power_cut.node not in asked
    for node in set(NODES) - {power_cut.node}:
        assert Counter(machines.ask(node) for _ in range(50)) == {"200": 50}, node


def test_the_others_are_maintained_meanwhile(machines: Machines, power_cut: PowerCut) -> None:
    run = machines.play("site.yml", "--limit", f"!{power_cut.node}")

    assert changes(run) == dict.fromkeys(sorted({*NODES} - {power_cut.node}), 0)


def test_its_owner_gets_one_message_within_two_minutes(
    recorder: Recorder, prometheus: Prometheus, power_cut: PowerCut
) -> None:
    began = time.time() - power_cut.seconds

    def told(name: str = "") -> list[Message]:
        return [
            message
            for message in recorder.of("/alerts")
            if message.at > began
            and message.content["status"] == "firing"
            and name in ("", message.content["groupLabels"]["alertname"])
        ]

    recorder.wait(lambda: bool(told("NodeDown")), 150 - power_cut.seconds)
    (message,) = told("NodeDown")
    time.sleep(max(180 - power_cut.seconds, 0))  # until a probe that fails would be told
    names = {each.content["groupLabels"]["alertname"] for each in told()}

    assert message.at - began <= 120
    assert [alert["labels"]["node"] for alert in message.content["alerts"]] == [power_cut.node]
    assert names - UNRELATED == {"NodeDown"}
    down = prometheus.query("node:up:max == 0")
    assert [series["metric"]["node"] for series in down] == [power_cut.node]


def test_it_comes_back_by_itself(machines: Machines, power_cut: PowerCut) -> None:
    machines.start(power_cut.node)

    assert eventually(lambda: power_cut.node in machines.ready(), seconds=120)
    assert eventually(lambda: machines.ask(power_cut.node) == "200", seconds=120)


def _running(host: Host) -> set[str]:
    """Return the containers that run on a machine, from itself."""
    return set(
        re.findall(
            r"^(\w+) +\d+ +RUNNING", host.check_output("/snap/bin/microk8s ctr task list"), re.MULTILINE
        )
    )


@pytest.fixture(scope="module")
def workers(machines: Machines) -> dict[str, Host]:
    """The workers; one has a pod of an app, whose other one is on the founder."""
    # As they moved when the other worker was without power.
    assert set(machines.pods("apps", "hello").values()) == {"molecule", "molecule-2"}
    return {name: machines.host(name) for name in NODES if name != "molecule"}


@pytest.fixture(scope="module")
def founder_cut(machines: Machines, workers: dict[str, Host]) -> tuple[PowerCut, dict[str, set[str]]]:
    """Cut the power of the founder, and return what its workers ran."""
    before = {name: _running(host) for name, host in workers.items()}
    return machines.cut("molecule"), before


def test_workers_go_on_without_their_founder(
    machines: Machines, workers: dict[str, Host], founder_cut: tuple[PowerCut, dict[str, set[str]]]
) -> None:
    cut, before = founder_cut

    # A request on a connection to the founder's pod, from before, gets no answer; there may be several.
    assert eventually(lambda: _answers(machines, [*workers] * 10) == {"200"}, seconds=120)
    eventually(lambda: cut.seconds > ALONE, seconds=ALONE)
    ended = [before[name] - _running(host) for name, host in workers.items()]
    assert ended == [set(), set()]
    assert _answers(machines, workers) == {"200"}


@pytest.mark.usefixtures("founder_cut")
def test_the_founder_comes_back_by_itself(machines: Machines) -> None:
    machines.start("molecule")

    assert eventually(lambda: _all_ready(machines), seconds=180)
    assert eventually(lambda: _answers(machines, NODES) == {"200"}, seconds=120)


def _answers(machines: Machines, names: Iterable[str]) -> set[str]:
    return {machines.ask(name) for name in names}


def _all_ready(machines: Machines) -> bool:
    try:
        return machines.ready() == {*NODES}
    except AssertionError:  # its API does not answer yet
        return False
