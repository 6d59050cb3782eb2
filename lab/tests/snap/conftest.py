"""A node of the lab's MicroK8s without a machine: the snap's files, and temporary directories."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from microk8s import certificates, hooks, host, network, services

OVERLAY = Path(__file__).parents[2] / "snap"
# Its tests replace it, as keys take time.
create_certificates = certificates.create
UPSTREAM_CALICO = Path(__file__).parent / "calico-vxlan.yaml"


@dataclass(frozen=True)
class Node:
    snap: Path
    data: Path
    common: Path

    def program(self, name: str, text: str) -> None:
        """Put a program into the snap, at the path of the real one."""
        file = self.snap / "bin" / name
        file.write_text(text)
        file.chmod(0o755)

    def read(self, path: str) -> str:
        return (self.data / path).read_text()


def microk8s(node: Node, *words: str, path: str = "") -> "subprocess.CompletedProcess[str]":
    """Run a command as a user does: in another process, with programs of a directory before the host's."""
    return subprocess.run(
        [sys.executable, "-I", str(node.snap / "bin/microk8s"), *words],
        env={
            "SNAP": str(node.snap),
            "SNAP_DATA": str(node.data),
            "SNAP_COMMON": str(node.common),
            "SNAP_VERSION": "v1.35.4",
            "SNAP_REVISION": "x1",
            "PATH": f"{path}:/usr/sbin:/usr/bin:/sbin:/bin",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def mount(directory: Path) -> Node:
    node = Node(directory / "snap", directory / "var/x1", directory / "var/common")
    shutil.copytree(OVERLAY, node.snap, ignore=shutil.ignore_patterns("__pycache__"))
    (node.snap / "opt/cni/bin").mkdir(parents=True)
    (node.snap / "upstream/calico").mkdir(parents=True)
    shutil.copy(UPSTREAM_CALICO, node.snap / "upstream/calico")
    node.data.mkdir(parents=True)
    node.common.mkdir()
    (directory / "var/current").symlink_to("x1")
    return node


def enter(node: Node, patch: pytest.MonkeyPatch) -> None:
    for name, path in {"SNAP": node.snap, "SNAP_DATA": node.data, "SNAP_COMMON": node.common}.items():
        patch.setenv(name, str(path))
    patch.setattr(hooks, "LINKS", {node.data.parent / "cni/bin": node.data / "opt/cni/bin"})
    patch.setattr(hooks, "PLACES_TO_SIDELOAD_FROM", (node.common / "sideload",))
    patch.setattr(network, "addresses", lambda: ["192.0.2.7"])
    patch.setattr(host, "SYSCTL_DIRECTORY", node.common)
    # The host of these tests may have no sudo.
    patch.setattr(host, "run_with_sudo", lambda *command: subprocess.run(command, check=True))


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """A node after its install hook, with certificates. Keys take seconds, so other nodes copy them."""
    node = mount(tmp_path_factory.mktemp("certified"))
    with pytest.MonkeyPatch.context() as patch:
        enter(node, patch)
        hooks.install()
    return node


@pytest.fixture
def empty_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certified: Node) -> Node:
    """The snap is mounted and no program has run yet."""
    node = mount(tmp_path)
    enter(node, monkeypatch)

    def copy_certificates() -> None:
        for directory in ("certs", "credentials"):
            shutil.copytree(certified.data / directory, node.data / directory, dirs_exist_ok=True)

    monkeypatch.setattr(certificates, "create", copy_certificates)
    return node


@pytest.fixture
def node(empty_node: Node) -> Node:
    """The install hook has run."""
    hooks.install()
    return empty_node


@pytest.fixture
def restarts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The restarted services, in order."""
    restarted: list[str] = []
    monkeypatch.setattr(services, "restart", lambda *names: restarted.extend(names))
    return restarted
