import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from microk8s import arguments, containers, daemons, datastore, etcd, host, programs, services, status

from harness.waiting import wait_until

from .conftest import Node

Become = list[tuple[list[str], dict[str, str]]]


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> Become:
    """The programs that daemons replaced themselves with."""
    seen: Become = []

    def become(command: list[str], environment: dict[str, str]) -> None:
        seen.append((command, environment))

    monkeypatch.setattr(programs, "become", become)
    return seen


def test_etcd_is_where_the_api_server_looks_for_dqlite(
    node: Node, became: Become, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "apply_kernel_settings", lambda: None)
    daemons.DAEMONS["k8s-dqlite"]()
    ((command, _),) = became
    assert command[0] == f"{node.snap}/bin/etcd"
    backend = f"{node.data}/var/kubernetes/backend"
    assert f"--listen-client-urls=unix://{backend}/kine.sock:12379" in command
    assert f"--data-dir={backend}/etcd" in command
    assert f"unix://{'${SNAP_DATA}'}/var/kubernetes/backend/kine.sock:12379" in node.read(
        "args/kube-apiserver"
    )


def test_an_unknown_flag_stops_the_datastore() -> None:
    with pytest.raises(SystemExit) as stopped:
        etcd.flags(["--storage-dir=/x", "--listen=unix:///y", "--no-such-flag"])
    assert stopped.value.code == 2


def test_containerd_is_reconfigured_at_each_start(
    node: Node, became: Become, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda command: command)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    (node.data / "args/containerd-env").write_text("HTTPS_PROXY=http://proxy\n")
    template = node.data / "args/containerd-template.toml"
    template.write_text(template.read_text().replace("1338", "1339"))
    daemons.DAEMONS["containerd"]()

    config = node.read("args/containerd.toml")
    assert f'config_path = "{node.data}/args/certs.d"' in config
    assert "127.0.0.1:1339" in config
    ((command, environment),) = became
    assert command[1:3] == ["--config", f"{node.data}/args/containerd.toml"]
    assert environment["HTTPS_PROXY"] == "http://proxy"
    assert environment["PATH"].startswith(f"{node.snap}/bin:")


@pytest.mark.parametrize("service", ["etcd", "flanneld"])
def test_services_of_other_nodes_exit_at_once(node: Node, service: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        daemons.DAEMONS[service]()
    assert stopped.value.code == 0
    (node.data / f"var/lock/no-{service}").unlink()
    with pytest.raises(SystemExit) as failed:
        daemons.DAEMONS[service]()
    assert failed.value.code == 1


def test_a_worker_has_no_datastore_and_other_nodes_no_proxy(node: Node) -> None:
    (node.data / "var/lock/no-k8s-dqlite").touch()
    for service in ("k8s-dqlite", "apiserver-proxy"):
        with pytest.raises(SystemExit) as stopped:
            daemons.DAEMONS[service]()
        assert stopped.value.code == 0


def test_the_datastore_takes_another_address_when_it_starts(
    node: Node, became: Become, restarts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "apply_kernel_settings", lambda: None)
    datastore.open_to_members("192.0.2.7")
    assert restarts == ["k8s-dqlite"]
    assert status.members(node.read("var/kubernetes/backend/cluster.yaml"))[0].address == "127.0.0.1:19001"
    for _ in range(2):
        daemons.DAEMONS["k8s-dqlite"]()
        assert "--listen-peer-urls=http://192.0.2.7:19001" in became.pop()[0]
    assert status.members(node.read("var/kubernetes/backend/cluster.yaml"))[0].address == "192.0.2.7:19001"
    assert node.read("var/kubernetes/backend/info.yaml").startswith("Address: 192.0.2.7:19001\n")
    assert not (node.data / "var/kubernetes/backend/update.yaml").exists()
    datastore.open_to_members("192.0.2.8")
    assert restarts == ["k8s-dqlite"], "the first address stays"


def _with_package() -> dict[str, str]:
    """Return an environment in which another Python finds the snap's package."""
    return {**os.environ, "PYTHONPATH": str(Path(daemons.__file__).parents[1])}


def test_a_service_imports_no_other_services_modules() -> None:
    heavy = {"asyncio", "http.server", "yaml"}
    code = f"import sys; from microk8s import daemons, kicker; print({heavy} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, env=_with_package(), text=True) == "set()\n"


def test_descendants_of_the_shims() -> None:
    parents = {1: 0, 10: 1, 11: 10, 12: 11, 20: 1, 21: 20}
    assert containers.descendants({10}, parents) == {11, 12}
    assert containers.descendants({10, 20}, parents) == {11, 12, 21}
    assert containers.descendants(set(), parents) == set()


# Serves /readyz with the node's certificate, like the API server.
API_SERVER = """\
#!{python}
import http.server, os, ssl, sys
certs = os.environ["SNAP_DATA"] + "/certs/"
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
port = next(word.split("=")[1] for word in sys.argv if word.startswith("--secure-port="))
server = http.server.HTTPServer(("127.0.0.1", int(port)), Ready)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certs + "server.crt", certs + "server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
# The first line of all fake programs.
NOTE = 'echo "$0 $@" >> $SNAP_COMMON/started\n'
RUN = "from microk8s import kubelite; kubelite.prepare_host = lambda: None; kubelite.main()"


@pytest.fixture
def kubelite(node: Node) -> Node:
    """A node with fake programs that record their start and keep running."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        arguments.change("kube-apiserver", {"--secure-port": str(unused.getsockname()[1])})
    stay = f"#!/bin/sh\n{NOTE}exec sleep 60\n"
    for name in ("kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet"):
        node.program(name, stay)
    node.program("kube-apiserver", textwrap.dedent(API_SERVER).format(python=sys.executable))
    return node


def _start() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", RUN],
        env=_with_package(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _wait_for_children(
    process: "subprocess.Popen[str]", node: Node, expected: int = 5, noted: int = 4
) -> list[int]:
    """Wait until all programs run, and so many of them have recorded it."""
    started = node.common / "started"
    wait_until(lambda: started.exists() and started.read_text().count("\n") == noted)
    found = _children(process.pid)
    assert len(found) == expected
    return found


def _is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_five_programs_run_and_stop_on_sigterm(kubelite: Node) -> None:
    (kubelite.data / "var/lock/stopped.lock").touch()
    with _start() as process:
        children = _wait_for_children(process, kubelite)
        process.terminate()
        assert process.wait(timeout=20) == 0
    assert all(map(_is_gone, children))
    assert not (kubelite.data / "var/lock/stopped.lock").exists()
    assert (
        f"--kubeconfig={kubelite.data}/credentials/kubelet.config"
        in (kubelite.common / "started").read_text()
    )


def test_a_worker_runs_two_programs(kubelite: Node) -> None:
    (kubelite.data / "var/lock/clustered.lock").touch()
    with _start() as process:
        _wait_for_children(process, kubelite, expected=2, noted=2)
        process.terminate()
        assert process.wait(timeout=20) == 0
    started = (kubelite.common / "started").read_text().splitlines()
    assert {Path(line.split()[0]).name for line in started} == {"kubelet", "kube-proxy"}


def test_the_services_of_each_kind_of_node(node: Node) -> None:
    both = {"kubelite", "containerd", "cluster-agent"}
    assert set(services.expected()) == both | {"k8s-dqlite", "apiserver-kicker"}
    (node.data / "var/lock/clustered.lock").touch()
    assert set(services.expected()) == both | {"apiserver-proxy"}


def test_a_bad_flag_stops_all(kubelite: Node) -> None:
    kubelite.program("kube-scheduler", f'#!/bin/sh\n{NOTE}sleep 1; echo "unknown flag: $1" >&2; exit 1\n')
    (kubelite.data / "args/kube-scheduler").write_text("--no-such-flag\n")
    with _start() as process:
        children = _wait_for_children(process, kubelite)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "unknown flag: --no-such-flag" in output
    assert "kube-scheduler has ended, and so do all others" in output
    assert all(map(_is_gone, children))


def test_without_an_api_server_nothing_else_starts(kubelite: Node) -> None:
    kubelite.program("kube-apiserver", "#!/bin/sh\nexit 1\n")
    with _start() as process:
        process.communicate(timeout=20)
    assert process.returncode == 1
    assert not (kubelite.common / "started").exists()


def test_the_programs_do_not_outlive_a_killed_kubelite(kubelite: Node) -> None:
    with _start() as process:
        children = _wait_for_children(process, kubelite)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=20)
    wait_until(lambda: all(map(_is_gone, children)))


def test_all_run_on_for_a_while_after_a_bad_flag_of_one(kubelite: Node) -> None:
    """The API answers meanwhile, and the node counts as ready."""
    kubelite.program("kubelet", f"#!/bin/sh\n{NOTE}exit 1\n")
    started = time.monotonic()
    with _start() as process:
        process.communicate(timeout=20)
    assert process.returncode == 1
    assert time.monotonic() - started > 3


def test_a_stop_while_the_api_server_starts_hangs_until_the_kill(kubelite: Node) -> None:
    program = (kubelite.snap / "bin/kube-apiserver").read_text()
    asked = kubelite.common / "asked"
    unready = f"500); print(file=open('{asked}', 'a')"
    kubelite.program("kube-apiserver", program.replace('200 if self.path == "/readyz" else 404', unready))
    with _start() as process:
        # Once it asks again, it knows from the first answer that the server starts.
        wait_until(lambda: asked.exists() and asked.read_text().count("\n") > 1)
        process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=2)
        process.kill()
