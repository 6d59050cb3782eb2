from collections.abc import Callable

import pytest
from microk8s import arguments, certificates, containers, kicker, kubernetes, network, services

from .conftest import Node


@pytest.fixture
def events(node: Node, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kicker's actions on a node with a default route whose address has just changed."""
    assert certificates.request_is_outdated() is False, node
    happened: list[str] = []
    monkeypatch.setattr(network, "addresses", lambda: ["192.0.2.8"])
    monkeypatch.setattr(network, "default_interface", lambda: "eth0")
    monkeypatch.setattr(containers, "kill_all", lambda: happened.append("kill pods"))
    for name in ("restart", "pause", "resume"):
        monkeypatch.setattr(services, name, lambda service, name=name: happened.append(f"{name} {service}"))
    return happened


def test_a_new_address_causes_a_new_certificate_and_a_restart(events: list[str]) -> None:
    kicker.reissue_certificate()
    assert events == [
        "restart cluster-agent",
        "pause kubelite",
        "kill pods",
        "restart containerd",
        "resume kubelite",
    ]
    events.clear()
    kicker.reissue_certificate()
    assert events == []


def test_after_a_failed_join_nothing_takes_the_new_certificate(node: Node, events: list[str]) -> None:
    old = node.read("certs/server.crt")
    (node.data / "var/lock/join-in-progress").touch()
    kicker.reissue_certificate()
    assert events == []
    assert node.read("certs/server.crt") != old


def test_a_worker_has_no_kicker(node: Node) -> None:
    (node.data / "var/lock/clustered.lock").touch()
    with pytest.raises(SystemExit) as stopped:
        kicker.main()
    assert stopped.value.code == 0


def _be_clustered(_: pytest.MonkeyPatch, node: Node) -> None:
    (node.data / "var/lock/no-cert-reissue").touch()


def _have_a_fixed_address(*_: object) -> None:
    arguments.change("kube-apiserver", {"--advertise-address": "192.0.2.9"})


def _have_no_default_route(patch: pytest.MonkeyPatch, _: Node) -> None:
    patch.setattr(network, "default_interface", lambda: None)


@pytest.mark.parametrize("prevent", [_be_clustered, _have_a_fixed_address, _have_no_default_route])
def test_cases_that_keep_the_old_certificate(
    node: Node,
    events: list[str],
    monkeypatch: pytest.MonkeyPatch,
    prevent: Callable[[pytest.MonkeyPatch, Node], None],
) -> None:
    prevent(monkeypatch, node)
    kicker.reissue_certificate()
    assert events == []


def test_the_pod_network_is_applied_until_that_succeeds(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "is_ready", lambda **_: True)
    calls = node.common / "calls"
    loaded = node.data / "var/lock/cni-loaded"
    for code, expected in ((1, False), (0, True), (0, True)):
        node.program("kubectl", f'#!/bin/sh\necho "$@" >> {calls}\nexit {code}\n')
        kicker.apply_network()
        assert loaded.exists() is expected
    applied = calls.read_text().splitlines()
    assert len(applied) == 2
    assert applied[0].endswith(f"apply --filename={node.data}/args/cni-network/cni.yaml")


def test_without_the_manifest_no_network_is_applied(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "is_ready", lambda **_: True)
    (node.data / "args/cni-network/cni.yaml").unlink()
    kicker.apply_network()
    assert not (node.data / "var/lock/cni-loaded").exists()
