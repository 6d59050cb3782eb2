"""What the modules that run on the host make of what they find there."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils import snapd
from ansible_collections.homeserver.stack.plugins.modules import (
    kube_network,
    microk8s_info,
    microk8s_ready,
    sideload,
)

IMAGE = sideload.Archive("docker.io/library/traefik:v3", "a" * 64)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sideload directory."""
    monkeypatch.setattr(sideload, "DIRECTORY", tmp_path)
    return tmp_path


def contain(monkeypatch: pytest.MonkeyPatch, *references: str) -> None:
    """Let containerd have these images."""
    monkeypatch.setattr(sideload, "_present", lambda: set(references))


def load(archive: sideload.Archive) -> None:
    """Do as containerd does once it has loaded an archive."""
    archive.path.rename(archive.loaded)


def test_an_image_is_missing_until_its_archive_arrives_and_is_not_copied_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    contain(monkeypatch)
    assert sideload.Sideload([IMAGE]).missing() == [IMAGE]
    arriving = tmp_path_factory.mktemp("staging") / "archive"
    arriving.write_text("tar")
    IMAGE.lay_out(arriving)
    assert sideload.Sideload([IMAGE]).missing() == []

    load(IMAGE)
    contain(monkeypatch, IMAGE.reference)
    sideload.Sideload([IMAGE]).wait(5)
    assert sideload.Sideload([IMAGE]).missing() == []
    assert [file.name for file in directory.iterdir()] == [
        "homeserver.json"
    ]  # the archive's space is given back


@pytest.mark.parametrize("reason", ["another archive", "image removed"])
def test_an_image_that_changed_or_was_removed_is_missing_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    (directory / "homeserver.json").write_text(json.dumps({IMAGE.reference: IMAGE.sha256}))
    contain(monkeypatch, *([IMAGE.reference] if reason == "another archive" else []))
    wanted = IMAGE._replace(sha256="b" * 64) if reason == "another archive" else IMAGE
    assert sideload.Sideload([wanted]).missing() == [wanted]


@pytest.mark.parametrize(
    "line",
    [
        "Failed to import {}: unexpected EOF",
        'level=error msg="Failed to import images" error="unexpected EOF" file={} plugin=sideload-images',
    ],
)
def test_an_archive_that_cannot_be_loaded_is_told_and_dropped(
    directory: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    contain(monkeypatch)
    IMAGE.path.write_text("damaged")
    journal = "\n".join([line.format("other.tar"), *[line.format(IMAGE.path)] * 2])
    monkeypatch.setattr("subprocess.run", lambda *_, **__: subprocess.CompletedProcess([], 0, journal, ""))
    with pytest.raises(sideload.SideloadError, match=r"cannot be loaded: .*traefik:v3\n.*Failed to import"):
        sideload.Sideload([IMAGE]).wait(60)
    assert list(directory.iterdir()) == []


def test_an_archive_with_another_name_in_it_is_told(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contain(monkeypatch, "localhost/other:1")
    IMAGE.loaded.write_text("tar")
    with pytest.raises(
        sideload.SideloadError, match=r"no image .*traefik:v3 -> is that the name in its archive"
    ):
        sideload.Sideload([IMAGE]).wait(5)
    assert directory.exists()


def test_kept_images_are_spared_and_those_of_yesterday_no_longer(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "homeserver.json").write_text(json.dumps({"traefik:old": "1", "hello:1": "2"}))
    asked: list[tuple[str, ...]] = []

    def images(*arguments: str) -> subprocess.CompletedProcess[str]:
        asked.append(arguments)
        return subprocess.CompletedProcess([], 0, "pause:3.10\ntraefik:old\n", "")

    monkeypatch.setattr(sideload, "_images", images)
    sideload.Sideload([IMAGE]).keep()
    assert asked[1:] == [
        ("label", IMAGE.reference, "io.cri-containerd.pinned=pinned"),
        ("label", "traefik:old", "io.cri-containerd.pinned="),
    ]


def test_what_is_waited_for_is_loaded_at_once_or_the_reason_told(
    directory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    arriving = tmp_path_factory.mktemp("staging") / "archive"
    answer = subprocess.CompletedProcess([], 1, "", "ctr: unrecognized image format\n")
    asked: list[tuple[str, ...]] = []

    def images(*arguments: str, **_: int | None) -> subprocess.CompletedProcess[str]:
        asked.append(arguments)
        return answer

    monkeypatch.setattr(sideload, "_images", images)
    options = {"images": [IMAGE._asdict()], "arrived": {IMAGE.reference: str(arriving)}}
    arriving.write_text("no tar")
    with pytest.raises(sideload.SideloadError, match=r"cannot be loaded: .*traefik:v3\nctr: unrecognized"):
        sideload._load(options | {"keep": False, "timeout": 5}, check=False)
    assert not IMAGE.path.exists()

    answer = subprocess.CompletedProcess([], 0, f"{IMAGE.reference}\n", "")
    monkeypatch.setattr(sideload, "_MICROK8S", str(directory))
    arriving.write_text("tar")
    assert sideload._load(options | {"keep": False, "timeout": 5}, check=False) == ([], [])
    assert ("import", str(IMAGE.path.with_suffix(".part"))) in asked
    assert [file.name for file in directory.iterdir()] == ["homeserver.json"]


@pytest.mark.usefixtures("directory")
def test_images_that_are_laid_out_are_kept_once_they_are_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = []
    monkeypatch.setattr(sideload.Sideload, "keep", lambda _self: kept.append(IMAGE))
    contain(monkeypatch)
    lay_out = {"images": [IMAGE._asdict()], "arrived": {}, "keep": True, "timeout": 0}
    assert sideload._load(lay_out, check=False) == ([IMAGE.reference], [])
    IMAGE.path.write_text("tar")
    assert sideload._load(lay_out, check=False) == ([], [IMAGE.reference])
    assert not kept

    IMAGE.path.rename(IMAGE.loaded)
    contain(monkeypatch, IMAGE.reference)
    assert sideload._load(lay_out, check=False) == ([], [])
    assert kept
    assert not IMAGE.loaded.exists()


def node(name: str = "home", ready: str = "True") -> dict[str, Any]:
    states = [{"type": "Ready", "status": ready, "message": "cni plugin not initialized"}]
    return {"kind": "Node", "metadata": {"name": name}, "status": {"conditions": states}}


def workload(kind: str, name: str, available: int, generation: int = 1) -> dict[str, Any]:
    numbers = (
        {"desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberAvailable": available}
        if kind == "DaemonSet"
        else {"updatedReplicas": 1, "availableReplicas": available}
    )
    return {
        "kind": kind,
        "metadata": {"name": name, "generation": generation},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 1, **numbers},
    }


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """Objects that `kubectl get` gives; a stranger may do nothing."""
    objects = [node(), workload("Deployment", "coredns", 1), workload("DaemonSet", "calico-node", 1)]

    def kubectl(verb: str, *_: str) -> Any:
        said = json.dumps({"items": objects}) if verb == "get" else "no\n"
        return subprocess.CompletedProcess([], 0, said, "")

    monkeypatch.setattr(microk8s_ready, "_kubectl", kubectl)
    monkeypatch.setattr("socket.gethostname", lambda: "Home")
    monkeypatch.setattr(microk8s_ready, "_LAUNCHER", tmp_path)
    return objects


def test_what_is_not_awaited_has_to_be_there_and_may_still_start(cluster: list[dict[str, Any]]) -> None:
    cluster.append(workload("Deployment", "metrics-server", 0))
    assert microk8s_ready._lacking(["metrics-server"], []) == "not running in kube-system: metrics-server"
    assert microk8s_ready._lacking(["metrics-server"], ["metrics-server"]) == ""
    cluster.pop()
    assert "metrics-server" in microk8s_ready._lacking(["metrics-server"], ["metrics-server"])


def test_nothing_is_lacking_when_all_runs(cluster: list[dict[str, Any]]) -> None:
    assert cluster
    assert microk8s_ready._lacking(["coredns"], []) == ""


@pytest.mark.parametrize(
    ("position", "replacement", "lacking"),
    [
        (0, node("other"), "the node home has not registered"),
        (0, node(ready="False"), "the node home is not ready: cni plugin not initialized"),
        (1, workload("Deployment", "coredns", 0), "not running in kube-system: coredns"),
        (1, workload("Deployment", "coredns", 1, generation=2), "not running in kube-system: coredns"),
        (1, workload("Deployment", "other", 1), "not running in kube-system: coredns"),
        (2, workload("DaemonSet", "calico-node", 0), "not running in kube-system: calico-node"),
    ],
)
def test_what_does_not_run_is_named(
    cluster: list[dict[str, Any]], position: int, replacement: dict[str, Any], lacking: str
) -> None:
    cluster[position] = replacement
    assert microk8s_ready._lacking(["coredns"], []) == lacking


def test_a_configuration_that_waits_is_named(cluster: list[dict[str, Any]], tmp_path: Path) -> None:
    assert cluster
    (tmp_path / "install.yaml").touch()
    assert "install.yaml is not applied" in microk8s_ready._lacking([], [])


def test_access_without_roles_is_noticed(
    cluster: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = subprocess.CompletedProcess([], 0, "yes\n", "")
    allowed = microk8s_ready._kubectl
    monkeypatch.setattr(
        microk8s_ready, "_kubectl", lambda verb, *rest: answer if verb == "auth" else allowed(verb, *rest)
    )
    assert cluster
    assert "access control by roles is not in force" in microk8s_ready._lacking([], [])


@pytest.mark.parametrize(
    ("files", "applied"),
    [
        ({}, ""),
        ({"install.yaml.applied": "a"}, "a"),
        ({"install.yaml": "a"}, "a"),
        (
            {
                "install.yaml.applied": "a",
                "homeserver.yaml.applied": "b",
                "homeserver-addons.yaml.applied": "c",
            },
            "b\n---\nc",
        ),
        ({"homeserver.yaml.applied": "b", "homeserver.yaml": "d"}, "d"),
    ],
)
def test_the_latest_configuration_counts_also_while_it_waits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, str], applied: str
) -> None:
    monkeypatch.setattr(microk8s_info, "_LAUNCHER", tmp_path)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert microk8s_info._applied() == applied


def test_only_kubernetes_rules_are_removed() -> None:
    rules = """\
*filter
:INPUT ACCEPT [0:0]
:DOCKER - [0:0]
:KUBE-FIREWALL - [0:0]
:cali-INPUT - [0:0]
-A INPUT -m comment --comment "cali:Cz_u1IQiXIMmKD4c" -j cali-INPUT
-A INPUT -j KUBE-FIREWALL
-A FORWARD -s 10.1.0.0/16 -m comment --comment "generated for MicroK8s pods" -j ACCEPT
-A FORWARD -m comment --comment "cali:S93hcgKJrXEqnTfs" -m mark --mark 0x10000/0x10000 -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A KUBE-FIREWALL -j DROP
COMMIT
"""
    assert kube_network.others(rules).splitlines() == [
        "*filter",
        ":INPUT ACCEPT [0:0]",
        ":DOCKER - [0:0]",
        "-A FORWARD -o docker0 -j DOCKER",
        "COMMIT",
    ]


def test_the_registration_of_a_device_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = [[{"kind": "become-operational"}, {"kind": "install-snap"}], [{"kind": "become-operational"}]]
    monkeypatch.setattr(snapd, "request", lambda _: changes.pop(0))
    monkeypatch.setattr("time.sleep", lambda _: None)
    snapd.wait_for_snaps(10)
    assert changes == []


def test_a_snapd_that_is_busy_for_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = [{"kind": "refresh-snap", "summary": 'Refresh "core22" snap'}]
    monkeypatch.setattr(snapd, "request", lambda _: busy)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(snapd.SnapdError, match='still busy after 0 s: Refresh "core22" snap'):
        snapd.wait_for_snaps(0)
