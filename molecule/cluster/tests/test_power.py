"""A machine loses its power: the others go on, its owner is told, and it comes back by itself."""

import time
from collections import Counter

import pytest

from tests.support.drills import UNRELATED
from tests.support.home import Kubectl, eventually
from tests.support.machines import Machines, PowerCut
from tests.support.prometheus import Prometheus
from tests.support.recorder import Message, Recorder

NODES = ("molecule", "molecule-2", "molecule-3")
# Some of those that have no data on their node, by namespace, and how many pods each has.
MOVING = {"apps": ("hello", 2), "traefik": ("whoami", 1), "monitoring": ("blackbox-exporter", 1)}
ELSEWHERE = 90  # seconds after a power cut

pytestmark = pytest.mark.usefixtures("joined")


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
