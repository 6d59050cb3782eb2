"""A pod on a new node tells what it does not reach."""

import importlib.util
import socket
from types import ModuleType
from typing import Any

import pytest

from harness.rendering import ROOT


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, in a pod."""
    specification = importlib.util.spec_from_file_location("probe", ROOT / "roles/microk8s/files/probe.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.152.183.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr("sys.argv", ["probe", "dns=10.1.0.2"])
    monkeypatch.setattr(module, "_PATIENCE", 0)
    return module


@pytest.mark.parametrize("listens", [True, False])
def test_a_pod_that_reaches_everything_says_nothing(
    probe: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    listens: bool,
) -> None:
    """Also if nothing listens at a port: that is an answer."""
    asked: list[tuple[str, int]] = []

    def connect(at: tuple[str, int], **_: Any) -> socket.socket:
        asked.append(at)
        if not listens:
            raise ConnectionRefusedError
        return socket.socket()

    def look_up(*at: Any) -> list[Any]:
        asked.append(at)
        return []

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    probe.main()

    assert capfd.readouterr() == ("", "")
    assert asked == [
        ("10.152.183.1", 443),
        ("kubernetes.default.svc.cluster.local", 443),
        ("10.1.0.2", 9),
    ]


@pytest.mark.parametrize(
    ("missed", "told"),
    [
        ("10.152.183.1", "the Service kubernetes (10.152.183.1)"),
        ("10.1.0.2", "the pod dns (10.1.0.2) of the founder"),
        ("kubernetes.default.svc.cluster.local", "the name kubernetes.default.svc.cluster.local in DNS"),
    ],
)
def test_what_is_not_reached_is_named_with_the_likely_cause(
    probe: ModuleType, monkeypatch: pytest.MonkeyPatch, missed: str, told: str
) -> None:
    def connect(at: tuple[str, int], **_: Any) -> socket.socket:
        if at[0] == missed:
            raise TimeoutError
        return socket.socket()

    def look_up(name: str, _port: int) -> list[Any]:
        if name == missed:
            raise socket.gaierror
        return []

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(SystemExit) as ended:
        probe.main()
    assert str(ended.value) == (
        f"pods on this node do not reach {told}"
        " -> is port 4789/udp open between the machines, in both directions?"
    )
