"""What does not go together of the machines of a home is told before one of them is changed."""

import socket
from collections.abc import Iterable
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.action.host_probe import skew
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import machines
from ansible_collections.homeserver.stack.plugins.module_utils.preflight.machines import Machine
from ansible_collections.homeserver.stack.plugins.modules import port_probe

SILENT: dict[str, Any] = {"running": False, "nodes": [], "volumes": [], "pods": []}
MEMBER: dict[str, Any] = {
    "node": "home",
    "addresses": ["192.0.2.1"],
    "worker": False,
    "joining": False,
    "authority": "ours",
    "servers": [],
}
HOST: dict[str, Any] = {
    "hostname": "home",
    "machine": "x86_64",
    "clock_skew": 0.0,
    "firewall": "",
    "member": MEMBER,
    "cluster": SILENT,
}
FOUNDER = Machine("home", "192.0.2.1", HOST, [], "1.35/stable")
ATTIC = Machine(
    "attic",
    "192.0.2.2",
    HOST
    | {
        "hostname": "Attic",
        "member": MEMBER | {"node": "attic", "authority": "", "addresses": ["192.0.2.2"]},
    },
    [],
    "1.35/stable",
)


def node(name: str, address: str, *, ready: bool = True) -> dict[str, Any]:
    return {"name": name, "address": address, "ready": ready, "reason": "stopped posting", "host": ""}


def running(*others: dict[str, Any]) -> Machine:
    cluster = SILENT | {"running": True, "nodes": [node("home", "192.0.2.1"), *others]}
    return FOUNDER._replace(host=HOST | {"cluster": cluster})


def attic(**changes: Any) -> Machine:
    return ATTIC._replace(host={**ATTIC.host, **changes})


def told(found: Iterable[machines.Found]) -> list[str]:
    return [f"{name}: {problem}" for name, problem in found]


def test_two_machines_before_the_first_installation_have_no_problem() -> None:
    assert told(machines.problems(FOUNDER, [ATTIC])) == []
    assert told(machines.doubts(FOUNDER, [ATTIC], {})) == []


def test_a_home_of_one_machine_has_no_problem() -> None:
    for founder in (FOUNDER, running()):
        assert told(machines.problems(founder, [])) == []
        assert told(machines.doubts(founder, [], {})) == []


OTHER_CLUSTER = MEMBER | {"node": "attic", "worker": True, "authority": "theirs", "servers": ["192.0.2.77"]}
OWN_CLUSTER = SILENT | {"running": True, "pods": [{"namespace": "apps"}, {"namespace": "kube-system"}]}


@pytest.mark.parametrize(
    ("worker", "problem"),
    [
        (
            attic(hostname="Home"),
            "attic: its host name is 'home', the same as that of home -> on the host: hostnamectl",
        ),
        (
            attic(clock_skew=-1.4),
            "attic: its clock is -1.4 s off from that of home (expected at most 1) -> on both",
        ),
        (
            attic(machine="aarch64"),
            "attic: it runs aarch64, and home runs x86_64, for which images are built -> ",
        ),
        (
            attic(member=OTHER_CLUSTER),
            "attic: it is part of a different cluster than that of home, at 192.0.2.77 -> ",
        ),
        (
            attic(cluster=OWN_CLUSTER),
            "attic: it has a cluster of its own, with workloads in apps -> move what you",
        ),
        (
            ATTIC._replace(channel="1.36/stable"),
            "attic: it would join with MicroK8s 1.36/stable, and home has 1.35/stable (homeserver_version_",
        ),
    ],
)
def test_each_reason_not_to_join_is_told(worker: Machine, problem: str) -> None:
    (found,) = told(machines.problems(running(), [worker]))
    assert found.startswith(problem)


def test_all_problems_are_told_at_once() -> None:
    second = ATTIC._replace(name="shed", host={**ATTIC.host, "clock_skew": 9})
    assert len(told(machines.problems(FOUNDER, [attic(clock_skew=3), second]))) == 3


def test_a_clock_is_off_only_as_far_as_is_sure() -> None:
    assert skew(100.0, 99.0, 101.0) == 0
    assert skew(103.0, 99.0, 101.0) == 2
    assert skew(97.0, 99.0, 101.0) == -2
    assert told(machines.problems(FOUNDER, [attic(clock_skew=0.9)])) == []


def test_a_founder_that_is_a_worker_elsewhere_is_told() -> None:
    founder = FOUNDER._replace(host=HOST | {"member": MEMBER | {"worker": True, "servers": ["192.0.2.77"]}})
    (found,) = told(machines.problems(founder, []))
    assert found.startswith("home: it is a worker of the cluster at 192.0.2.77, and cannot be the control")


def test_a_dead_member_is_told_when_another_machine_joins() -> None:
    founder = running(node("shed", "192.0.2.3", ready=False))
    (found,) = told(machines.problems(founder, [ATTIC]))
    assert found.startswith("home: the node shed does not answer (stopped posting), so nothing can join")
    assert told(machines.problems(founder, [])) == []


def test_a_member_that_this_run_mends_is_not_dead() -> None:
    half = attic(member=ATTIC.host["member"] | {"worker": True, "authority": "ours", "joining": True})
    assert told(machines.problems(running(node("attic", "192.0.2.2", ready=False)), [half])) == []


def test_a_node_that_no_machine_of_the_inventory_is_gets_a_warning_in_every_run() -> None:
    founder = running(node("shed", "192.0.2.3"), node("attic", "192.0.2.9"), node("cellar", "192.0.2.5"))
    (found,) = told(machines.doubts(founder, [ATTIC], {"down": "192.0.2.5"}))
    assert found.startswith(
        "home: the node shed (192.0.2.3) is in the cluster and not in the inventory -> add"
    )


def closed(port: int, answer: str, protocol: str = "tcp", address: str = "192.0.2.1") -> dict[str, Any]:
    return {"address": address, "port": port, "protocol": protocol, "answer": answer}


@pytest.mark.parametrize(
    ("founder", "port", "problem"),
    [
        (FOUNDER, closed(16443, "refused"), ""),
        (
            FOUNDER,
            closed(16443, "none"),
            "home: its port 16443/tcp is closed to attic -> allow 192.0.2.2 in its",
        ),
        (running(), closed(25000, "refused"), "home: its port 25000/tcp is closed to attic -> "),
        (running(), closed(4789, "none", "udp"), ""),
        (running(), closed(16443, "none", address="192.0.2.99"), ""),
    ],
)
def test_a_closed_port_is_told(founder: Machine, port: dict[str, Any], problem: str) -> None:
    found = told(machines.problems(founder, [ATTIC._replace(closed=[port])]))
    assert [text[: len(problem)] for text in found] == ([problem] if problem else [])


def test_only_the_founders_api_is_asked_by_others() -> None:
    """A worker's is on loopback until it joins, also where its join was interrupted."""
    refused = closed(16443, "refused", address=ATTIC.address)
    begun = attic(cluster={**ATTIC.host["cluster"], "running": True})
    founder = running()._replace(closed=[refused])
    assert told(machines.problems(founder, [begun])) == []
    here = closed(16443, "refused")
    assert len(told(machines.problems(running(), [begun._replace(closed=[here])]))) == 1


def test_the_firewall_of_this_project_lets_a_new_machine_in_before_it_joins() -> None:
    worker = ATTIC._replace(closed=[closed(10250, "none")])
    founder = running()
    strict = founder._replace(host={**founder.host, "firewall": "ip saddr { 192.0.2.1 } accept"})
    lax = founder._replace(host={**founder.host, "firewall": "ip saddr { 192.0.2.1, 192.0.2.2 } accept"})
    assert told(machines.problems(strict, [worker])) == []
    assert len(told(machines.problems(lax, [worker]))) == 1


def test_a_port_of_udp_that_does_not_refuse_is_doubtful_only_where_nothing_listens() -> None:
    founder = running()._replace(closed=[closed(4789, "none", "udp", "192.0.2.2")])
    (found,) = told(machines.doubts(founder, [ATTIC], {}))
    assert found.startswith("attic: its port 4789/udp is closed to home -> ")
    joined = attic(member=ATTIC.host["member"] | {"worker": True})
    assert told(machines.doubts(founder, [joined], {"attic": "192.0.2.2"})) == []


def test_an_open_port_and_one_that_refuses_are_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert port_probe.Port("127.0.0.1", port, "tcp").answer() == ""
    assert port_probe.Port("127.0.0.1", port, "tcp").answer() == "refused"
    assert port_probe.Port("127.0.0.1", port, "udp").answer() == ""


def test_a_port_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: Any, **__: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr("socket.create_connection", connect)
    assert port_probe.Port("192.0.2.1", 1, "tcp").answer() == "none"
    monkeypatch.setattr(port_probe, "_TIMEOUT", 0.1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        assert port_probe.Port("127.0.0.1", listening.getsockname()[1], "udp").answer() == "none"
