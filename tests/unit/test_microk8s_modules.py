"""How the modules that run on the host handle the states they find there."""

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.nodes import certificates, snapd
from ansible_collections.homeserver.stack.plugins.modules import (
    kube_cleanup,
    microk8s_info,
    microk8s_ready,
    sideload,
    snap,
)

from harness import tls

IMAGE = sideload.Archive("docker.io/library/traefik:v3", "a" * 64)


UNIT = "snap.microk8s.daemon-kubelite.service"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sideload directory."""
    monkeypatch.setattr(sideload, "DIRECTORY", tmp_path)
    return tmp_path


def contain(monkeypatch: pytest.MonkeyPatch, *references: str) -> None:
    """Make containerd list these images."""
    monkeypatch.setattr(sideload, "_present", lambda: set(references))


def load(archive: sideload.Archive) -> None:
    """Mark an archive as loaded, like containerd."""
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
    assert [file.name for file in directory.iterdir()] == ["homeserver.json"]  # the archive's space is freed


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
def test_an_archive_that_cannot_be_loaded_is_reported_and_deleted(
    directory: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    contain(monkeypatch)
    IMAGE.path.write_text("damaged")
    journal = "\n".join([line.format("other.tar"), *[line.format(IMAGE.path)] * 2])
    monkeypatch.setattr("subprocess.run", lambda *_, **__: subprocess.CompletedProcess([], 0, journal, ""))
    with pytest.raises(sideload.SideloadError, match=r"cannot be loaded: .*traefik:v3\n.*Failed to import"):
        sideload.Sideload([IMAGE]).wait(60)
    assert list(directory.iterdir()) == []


def test_an_archive_with_another_name_in_it_is_reported(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contain(monkeypatch, "localhost/other:1")
    IMAGE.loaded.write_text("tar")
    with pytest.raises(
        sideload.SideloadError, match=r"no image .*traefik:v3 -> is that the name in its archive"
    ):
        sideload.Sideload([IMAGE]).wait(5)
    assert list(directory.iterdir()) == [IMAGE.loaded]  # it is not noted as loaded


def test_an_image_named_with_its_digest_gets_the_name_that_the_kubelet_looks_for(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = f"sha256:{'2f' * 32}"
    wanted = sideload.Archive(f"{IMAGE.reference}@{digest}", "a" * 64)
    exact = f"docker.io/library/traefik@{digest}"
    names = {IMAGE.reference}

    def images(*arguments: str, **_: int | None) -> subprocess.CompletedProcess[str]:
        if arguments[0] == "tag":
            assert arguments[1] in names
            names.add(arguments[2])
        return subprocess.CompletedProcess([], 0, "\n".join(sorted(names)), "")

    monkeypatch.setattr(sideload, "_images", images)
    monkeypatch.setattr(sideload, "_MICROK8S", str(directory))
    for _ in range(2):  # also when it is loaded again
        wanted.loaded.write_text("tar")
        sideload.Sideload([wanted]).wait(5)
        assert sideload.Sideload([wanted]).missing() == []
    assert names == {IMAGE.reference, exact}
    assert json.loads((directory / "homeserver.json").read_text()) == {exact: wanted.sha256}


def test_current_images_are_pinned_and_former_ones_unpinned(
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


def test_what_is_built_here_is_pinned_beside_a_bundle_and_replaces_its_former_version() -> None:
    kept = {"localhost/hello:1", "localhost/other:1", "docker.io/library/traefik:v2", "docker.io/gone:1"}
    assert sideload._replaced(kept, {"localhost/hello:2"}) == ["localhost/hello:1"]
    bundle = {"docker.io/library/traefik:v3", "docker.io/library/postgres:15"}
    assert sideload._replaced(kept, bundle) == ["docker.io/gone:1", "docker.io/library/traefik:v2"]


def test_awaited_images_are_loaded_at_once_or_the_error_is_reported(
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
def test_images_are_pinned_once_they_are_loaded(
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
    metadata = {"name": name, "resourceVersion": "1"}
    return {"kind": "Node", "metadata": metadata, "spec": {}, "status": {"conditions": states}}


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


class Machine:
    """The clock, kubelite's unit and the kubelet of a host."""

    def __init__(self) -> None:
        self.now, self.started, self.state, self.restarts, self.well = 1000.0, 990.0, "active", 3, True

    def units(self) -> list[dict[str, str]]:
        started = str(int(self.started * 1_000_000))
        shown = {"ActiveState": self.state, "ActiveEnterTimestampMonotonic": started}
        return [{"Id": UNIT, "NRestarts": str(self.restarts), **shown}]

    def crash(self) -> None:
        self.now += 7
        self.started, self.restarts, self.well = self.now, self.restarts + 1, False


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A host whose kubelite was started ten seconds ago."""
    machine = Machine()
    monkeypatch.setattr(microk8s_ready, "_units", machine.units)
    monkeypatch.setattr(microk8s_ready, "_kubelet_is_well", lambda: machine.well)
    monkeypatch.setattr("time.monotonic", lambda: machine.now)
    return machine


def test_a_service_that_keeps_crashing_is_told_also_after_a_restart_by_command(machine: Machine) -> None:
    services = microk8s_ready.Services()
    assert services.look() == ""
    machine.restarts = 0  # a command began to count anew
    for _ in range(microk8s_ready._RESTARTS):
        assert services.broken() == ""
        machine.crash()
        assert services.look() == "the kubelet does not run"
    assert services.broken() == UNIT


def test_a_service_that_failed_is_told_when_nothing_has_started_it_for_long(machine: Machine) -> None:
    services = microk8s_ready.Services()
    machine.state = "failed"
    for later, broken in ((0, ""), (60, ""), (40, UNIT)):
        machine.now += later
        assert services.look() == "the kubelet does not run"
        assert services.broken() == broken
    machine.state = "active"
    assert services.look() == ""
    assert services.broken() == ""


def test_what_has_just_started_has_to_run_for_a_while(machine: Machine) -> None:
    services = microk8s_ready.Services()
    services.look()
    assert "has not run for 15 s" in services.unsteady()
    machine.now += 16
    services.look()
    assert services.unsteady() == ""
    machine.crash()
    machine.well = True  # the API answers in each cycle, and the kubelet may for a moment
    services.look()
    assert "has not run for 15 s" in services.unsteady()


def test_what_has_run_for_long_is_not_waited_for(machine: Machine) -> None:
    machine.started = 0
    services = microk8s_ready.Services()
    services.look()
    assert services.unsteady() == ""


def test_the_names_that_a_certificate_lacks_are_told_in_any_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    served = {16443: ["home.example", "2001:DB8:0:0:0:0:0:1", "192.0.2.7"], 10250: ["home", "192.0.2.6"]}
    monkeypatch.setattr(microk8s_ready, "_names_at", served.__getitem__)
    assert microk8s_ready._missing_names(["Home.example", "2001:db8::1"], "") == []
    assert microk8s_ready._missing_names(["nas.example"], "192.0.2.7") == ["192.0.2.7", "nas.example"]
    assert microk8s_ready._missing_names([], "192.0.2.6") == ["192.0.2.6"]


def test_a_certificate_of_the_owners_own_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def names(_port: int) -> list[str]:
        raise ssl.SSLCertVerificationError

    monkeypatch.setattr(microk8s_ready, "_names_at", names)
    assert microk8s_ready._missing_names(["home.example"], "192.0.2.7") == []


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """The objects of `kubectl get`; anonymous users have no rights."""
    objects = [node(), workload("Deployment", "coredns", 1), workload("DaemonSet", "calico-node", 1)]

    def kubectl(verb: str, what: str, *_: str) -> Any:
        wanted = [each for each in objects if (each["kind"] == "Event") == (what == "events")]
        said = json.dumps({"items": wanted}) if verb == "get" else "no\n"
        return subprocess.CompletedProcess([], 0, said, "")

    monkeypatch.setattr(microk8s_ready, "_kubectl", kubectl)
    monkeypatch.setattr("socket.gethostname", lambda: "Home")
    monkeypatch.setattr(microk8s_ready, "_LAUNCHER", tmp_path)
    return objects


def what_lacks(deployments: list[str], unawaited: list[str]) -> str:
    return microk8s_ready._lacking(deployments, unawaited, microk8s_ready.Images(), [])


@pytest.mark.parametrize(
    ("pulled_at", "lacks"), [(1000, ""), (100, "not running in kube-system: coredns, after 600 s")]
)
def test_the_time_to_pull_images_does_not_count(
    cluster: list[dict[str, Any]],
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    pulled_at: int,
    lacks: str,
) -> None:
    container = {"name": "c", "ready": False, "state": {"waiting": {"reason": "ContainerCreating"}}}
    pod = {
        "kind": "Pod",
        "metadata": {"name": "coredns-1", "namespace": "kube-system", "uid": "1"},
        "status": {"conditions": [], "containerStatuses": [container | {"image": "coredns:1"}]},
    }
    about = {"involvedObject": {"uid": "1", "fieldPath": "spec.containers{c}"}, "kind": "Event"}
    cluster[1] = workload("Deployment", "coredns", 0)
    cluster += [pod, about | {"reason": "Pulling", "lastTimestamp": "2026-11-25T10:00:00Z"}]

    def sleep(seconds: float) -> None:
        machine.now += seconds
        if machine.now == 1000 + pulled_at:
            cluster.append(about | {"reason": "Pulled", "lastTimestamp": "2026-11-25T10:20:00Z"})
        if machine.now == 2500:
            cluster[1] = workload("Deployment", "coredns", 1)

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr(microk8s_ready, "_report", lambda lacking, _broken: lacking)
    told = ""
    try:
        microk8s_ready.wait(["coredns"], [], 600)
    except microk8s_ready.UnfitError as error:
        told = str(error)
    assert told == lacks


def test_a_workload_that_is_not_awaited_has_to_exist(cluster: list[dict[str, Any]]) -> None:
    cluster.append(workload("Deployment", "metrics-server", 0))
    assert what_lacks(["metrics-server"], []) == "not running in kube-system: metrics-server"
    assert what_lacks(["metrics-server"], ["metrics-server"]) == ""
    cluster.pop()
    assert "metrics-server" in what_lacks(["metrics-server"], ["metrics-server"])


@pytest.mark.usefixtures("cluster")
def test_nothing_is_missing_when_everything_runs() -> None:
    assert what_lacks(["coredns"], []) == ""


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
def test_a_workload_that_does_not_run_is_named(
    cluster: list[dict[str, Any]], position: int, replacement: dict[str, Any], lacking: str
) -> None:
    cluster[position] = replacement
    assert what_lacks(["coredns"], []) == lacking


@pytest.mark.usefixtures("cluster")
def test_a_pending_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "install.yaml").touch()
    assert "install.yaml is not applied" in what_lacks([], [])


@pytest.mark.usefixtures("cluster")
def test_disabled_rbac_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = subprocess.CompletedProcess([], 0, "yes\n", "")
    allowed = microk8s_ready._kubectl
    monkeypatch.setattr(
        microk8s_ready, "_kubectl", lambda verb, *rest: answer if verb == "auth" else allowed(verb, *rest)
    )
    assert "role-based access control is not active" in what_lacks([], [])


def test_what_should_run_on_a_silent_node_is_not_awaited(cluster: list[dict[str, Any]]) -> None:
    on_two = {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1}
    cluster[2]["status"] |= on_two
    assert what_lacks([], []) == "not running in kube-system: calico-node"
    cluster.append(node("attic", ready="Unknown"))
    assert what_lacks([], []) == ""
    cluster[3] = node("attic")
    assert what_lacks([], []) == "not running in kube-system: calico-node"


def test_a_node_that_has_told_nothing_yet_is_not_ready(cluster: list[dict[str, Any]]) -> None:
    cluster[0]["status"] = {}
    assert what_lacks([], []) == "the node home is not ready: its kubelet has reported nothing yet"


class Proxy(BaseHTTPRequestHandler):
    """The way of a worker to the API of its cluster."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be silent."""


@pytest.mark.parametrize(
    ("status", "lacking"),
    [
        (200, ""),
        (401, ""),
        (503, "the API server of its cluster answers with 503"),
        (0, "it does not reach the"),
    ],
)
def test_a_worker_waits_for_its_way_to_the_api(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int, lacking: str
) -> None:
    certificate = tls.self_signed(tmp_path, "home")
    certificate.with_name("ca.remote.crt").write_bytes(certificate.read_bytes())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.socket = tls.server_context(certificate).wrap_socket(server.socket, server_side=True)
    monkeypatch.setattr(Proxy, "status", status)
    monkeypatch.setattr(microk8s_ready, "_API_PORT", server.server_port if status else 1)
    monkeypatch.setattr(certificates, "CERTIFICATES", tmp_path)
    monkeypatch.setattr(microk8s_ready, "_LAUNCHER", tmp_path)
    for module in (microk8s_ready, certificates):
        monkeypatch.setattr(module, "is_worker", lambda: True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert what_lacks(["coredns"], [])[: len(lacking) or None] == lacking
    finally:
        server.shutdown()
        server.server_close()


def test_a_worker_is_asked_nothing_that_it_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def names(port: int) -> list[str]:
        asked.append(port)
        return []

    monkeypatch.setattr(microk8s_ready, "is_worker", lambda: True)
    monkeypatch.setattr(microk8s_ready, "_names_at", names)
    assert microk8s_ready._missing_names(["home.example"], "192.0.2.2") == ["192.0.2.2"]
    assert asked == [10250]
    assert microk8s_ready._calico_address(microk8s_ready._compared(None)) == ""
    assert microk8s_ready._waiting_pods() == []


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
                "homeserver_addons.yaml.applied": "c",
            },
            "b\n---\nc",
        ),
        ({"homeserver.yaml.applied": "b", "homeserver.yaml": "d"}, "d"),
    ],
)
def test_the_latest_configuration_counts_even_while_pending(
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
    assert kube_cleanup.others(rules).splitlines() == [
        "*filter",
        ":INPUT ACCEPT [0:0]",
        ":DOCKER - [0:0]",
        "-A FORWARD -o docker0 -j DOCKER",
        "COMMIT",
    ]


def test_only_tables_of_iptables_that_do_nothing_are_removed() -> None:
    def table(family: str, name: str, *content: dict[str, Any]) -> list[dict[str, Any]]:
        of = {"family": family, "table": name}
        inside = [{kind: of | each} for entry in content for kind, each in entry.items()]
        return [{"table": {"family": family, "name": name}}, *inside]

    accepting, dropping = {"chain": {"policy": "accept"}}, {"chain": {"policy": "drop"}}
    listed = [
        {"metainfo": {}},
        *table("ip", "filter", accepting, {"chain": {}}),
        *table("ip6", "filter", dropping),
        *table("ip", "nat", accepting, {"rule": {}}),
        *table("ip6", "mangle"),
        *table("inet", "filter"),
        *table("ip", "mine"),
    ]
    found = kube_cleanup.empty_tables(json.dumps({"nftables": listed}))
    assert found == [("ip", "filter"), ("ip6", "mangle")]


def test_a_socket_that_nobody_listens_at_is_dead(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as ended:
        listening.bind(str(tmp_path / "alive"))
        listening.listen()
        ended.bind(str(tmp_path / "dead"))
        ended.close()
        assert kube_cleanup.dead_sockets(tmp_path) == [tmp_path / "dead"]
    assert kube_cleanup.dead_sockets(tmp_path / "nowhere") == []


@pytest.fixture
def pod_group() -> Iterator[Path]:
    """A control group below one of the kind that pods are in, in the first hierarchy of this host."""
    places = (kube_cleanup.CONTROL_GROUPS, *sorted(kube_cleanup.CONTROL_GROUPS.iterdir()))
    top = next(place for place in places if (place / "cgroup.procs").exists())
    group = top / f"homeserver-test-{os.getpid()}/kubepods/pod1"
    group.mkdir(parents=True)
    yield group
    for directory in (group, group.parent, group.parent.parent):
        if directory.exists():
            directory.rmdir()


def test_what_survives_in_a_pods_control_group_is_ended(pod_group: Path) -> None:
    groups = pod_group.parent.parent
    with subprocess.Popen(["sleep", "600"]) as survivor:
        (pod_group / "cgroup.procs").write_text(str(survivor.pid))
        assert kube_cleanup.end_processes(groups, 10, remove=False) == {"processes": 1}
        assert survivor.poll() is None
        reaper = threading.Thread(target=survivor.wait)
        reaper.start()
        assert kube_cleanup.end_processes(groups, 10, remove=True) == {"processes": 1}
        reaper.join()
        assert survivor.returncode == -signal.SIGKILL
    assert not pod_group.parent.exists()
    assert kube_cleanup.end_processes(groups, 10, remove=True) == {}


def test_a_process_that_does_not_end_is_named(pod_group: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "SIGKILL", signal.SIGCONT)  # like one in uninterruptible sleep
    with subprocess.Popen(["sleep", "600"]) as survivor:
        (pod_group / "cgroup.procs").write_text(str(survivor.pid))
        with pytest.raises(TimeoutError, match=rf"do not end: sleep \({survivor.pid}\) -> reboot the host"):
            kube_cleanup.end_processes(pod_group.parent.parent, 0.3, remove=True)
        survivor.terminate()
        survivor.wait()


def test_the_registration_of_a_device_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = [[{"kind": "become-operational"}, {"kind": "install-snap"}], [{"kind": "become-operational"}]]
    monkeypatch.setattr(snapd, "request", lambda _: changes.pop(0))
    monkeypatch.setattr("time.sleep", lambda _: None)
    snapd.wait_for_snaps(10)
    assert changes == []


def test_a_snapd_that_is_busy_for_too_long_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = [{"kind": "refresh-snap", "summary": 'Refresh "core22" snap'}]
    monkeypatch.setattr(snapd, "request", lambda _: busy)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(snapd.SnapdError, match='still busy after 0 s: Refresh "core22" snap'):
        snapd.wait_for_snaps(0)


@pytest.mark.parametrize(
    ("wanted", "arguments", "address"),
    [
        ("192.0.2.8", "--node-ip=192.0.2.7\n", "192.0.2.8"),
        ("home.example", "--node-ip=192.0.2.8\n", "192.0.2.8"),
        ("home.example", "--node-ip 198.51.100.1\n", "192.0.2.7"),
        ("203.0.113.1", "", "192.0.2.7"),
    ],
)
def test_a_node_has_the_address_of_the_inventory_or_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wanted: str, arguments: str, address: str
) -> None:
    (tmp_path / "kubelet").write_text(f"--v=2\n{arguments}")
    monkeypatch.setattr(microk8s_info, "_KUBELET", tmp_path / "kubelet")
    assert microk8s_info._address(wanted, ["192.0.2.7", "192.0.2.8"]) == address
    assert microk8s_info._address(wanted, []) == ""


def test_a_failed_hook_shows_no_key() -> None:
    key = "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlFb3dJQkFBS0NBUUVB"
    pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQ\n-----END RSA PRIVATE KEY-----"
    token = "a0b1c2d3" * 8
    path = "/var/snap/microk8s/current/credentials/client/config/of/the/admin"
    shown = snap.without_keys(f"+ openssl {key}== {path}\n{pem}\n+ echo {token}\nsudo: not found\n")
    expected = f"+ openssl (hidden) {path}\n(hidden)\n+ echo (hidden)\nsudo: not found"
    assert shown == expected


def test_a_snap_that_takes_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("snap", 5)

    monkeypatch.setattr(subprocess, "run", run)
    expected = "snap install microk8s takes more than 5 s -> on the host: snap changes"
    assert snap._run(["install", "microk8s"], 5) == expected
