from collections.abc import Callable

import pytest
import yaml
from microk8s import kubernetes, status
from microk8s.addons import Addon
from microk8s.status import Member

from .conftest import Node

Ask = Callable[[bool, list[str]], tuple[int, str]]
ONE = [Member("10.0.0.1:19001", "voter")]
STATES = [
    (Addon("dns", "CoreDNS", "1.13.1", ""), "enabled"),
    (Addon("rbac", "Role-Based Access Control for authorisation", "", ""), "disabled"),
]


def test_pretty() -> None:
    assert "\n".join(status.pretty(ONE, STATES)) == (
        "microk8s is running\n"
        "high-availability: no\n"
        "  datastore master nodes: 10.0.0.1:19001\n"
        "  datastore standby nodes: none\n"
        "addons:\n"
        "  enabled:\n"
        "    dns                  # (core) CoreDNS\n"
        "  disabled:\n"
        "    rbac                 # (core) Role-Based Access Control for authorisation"
    )


def test_three_voters_are_highly_available() -> None:
    nodes = [
        *ONE,
        Member("10.0.0.2:19001", "voter"),
        Member("10.0.0.3:19001", "voter"),
        Member("x:1", "standby"),
    ]
    assert status.pretty(nodes, [])[1:4] == [
        "high-availability: yes",
        "  datastore master nodes: 10.0.0.1:19001 10.0.0.2:19001 10.0.0.3:19001",
        "  datastore standby nodes: x:1",
    ]


def test_short() -> None:
    assert status.short(STATES) == [
        "microk8s is running",
        "addons:",
        "core/dns: enabled",
        "core/rbac: disabled",
    ]


def test_yaml() -> None:
    lines = status.yaml(True, ONE, STATES)
    assert lines[1] == "  running: True"
    assert yaml.safe_load("\n".join(lines)) == {
        "microk8s": {"running": True},
        "high-availability": {"enabled": True, "nodes": [{"address": "10.0.0.1:19001", "role": "voter"}]},
        "addons": [
            {
                "name": "dns",
                "repository": "core",
                "description": "CoreDNS",
                "version": "1.13.1",
                "status": "enabled",
            },
            {
                "name": "rbac",
                "repository": "core",
                "description": "Role-Based Access Control for authorisation",
                "version": None,
                "status": "disabled",
            },
        ],
    }


@pytest.fixture
def run_status(node: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Query the status of a cluster that is ready or not; return the exit code and the last line."""
    assert node.read("var/kubernetes/backend/cluster.yaml")
    monkeypatch.setattr(kubernetes, "listing", lambda: ["kube-system pod/coredns-1"])

    def ask(ready: bool, words: list[str]) -> tuple[int, str]:
        monkeypatch.setattr(kubernetes, "is_ready", lambda **_: ready)
        code = 0
        try:
            status.main(words)
        except SystemExit as stopped:
            code = int(str(stopped.code))
        return code, capsys.readouterr().out.splitlines()[-1]

    return ask


@pytest.mark.parametrize(
    ("ready", "words", "expected"),
    [
        (True, [], (0, "    storage              # (core) Alias to hostpath-storage add-on, deprecated")),
        (False, [], (1, status.NOT_RUNNING)),
        (False, ["--wait-ready", "--timeout", "1"], (1, status.NOT_RUNNING)),
        (False, ["--format", "yaml"], (1, f"  message: {status.NOT_RUNNING}")),
        (True, ["-a", "dns"], (0, "enabled")),
        (True, ["-a", "core/rbac"], (0, "disabled")),
        (True, ["-a", "unknown"], (0, "disabled")),
        (False, ["-a", "dns"], (1, "disabled")),
    ],
)
def test_exit_codes(run_status: Ask, ready: bool, words: list[str], expected: tuple[int, str]) -> None:
    assert run_status(ready, words) == expected


def test_an_unknown_flag_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as stopped:
        status.main(["--no-such-flag"])
    assert stopped.value.code == 2


def test_a_new_node_is_a_datastore_of_its_own(node: Node) -> None:
    assert status.members(node.read("var/kubernetes/backend/cluster.yaml")) == [
        Member("127.0.0.1:19001", "voter")
    ]
    assert yaml.safe_load(node.read("var/kubernetes/backend/info.yaml"))["Role"] == 0


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("a   Ready   <none>   1d   v1.35.4\n", True),
        ("a   Ready,SchedulingDisabled   <none>   1d   v1.35.4\n", False),
        ("a   NotReady   <none>   1d   v1.35.4\nb   Ready   <none>   1d   v1.35.4\n", True),
        ("", False),
    ],
)
def test_ready_means_no_other_state(node: Node, nodes: str, expected: bool) -> None:
    node.program(
        "kubectl", f'#!/bin/sh\ncase "$*" in *service*) echo service/kubernetes;; *) printf "{nodes}";; esac'
    )
    assert kubernetes.is_ready() is expected


def test_without_an_api_it_is_not_ready(node: Node) -> None:
    node.program("kubectl", "#!/bin/sh\nexit 1\n")
    assert not kubernetes.is_ready(with_node=False)
    assert not kubernetes.wait_until_ready(0.1)
