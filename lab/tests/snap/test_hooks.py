import grp
import os
import stat
from pathlib import Path

import pytest
from microk8s import arguments, certificates, containers, hooks, host, kubelite, services

from .conftest import Node

NOT_ON_A_DEFAULT_NODE = ("no-etcd", "no-flanneld", "no-apiserver-proxy")
CONFIG = "version: 0.1.0\n"


def test_a_new_node_has_the_files_of_microk8s(node: Node) -> None:
    locks = {file.name for file in (node.data / "var/lock").iterdir()}
    assert locks == {
        "installed.lock",
        "lite.lock",
        "ha-cluster",
        "no-etcd",
        "no-flanneld",
        "no-apiserver-proxy",
    }
    assert {"kubelet", "kube-apiserver", "containerd-template.toml", "certs.d"} <= {
        file.name for file in (node.data / "args").iterdir()
    }
    assert arguments.get("kube-apiserver", "--authorization-mode") == "AlwaysAllow"
    assert (node.data.parent / "cni/bin").readlink() == node.data / "opt/cni/bin"


def test_a_link_does_not_replace_an_existing_path(empty_node: Node) -> None:
    (empty_node.data.parent / "cni/bin").mkdir(parents=True)
    hooks.install()
    assert not (empty_node.data.parent / "cni/bin").is_symlink()


@pytest.mark.usefixtures("node")
def test_an_installed_node_is_not_changed() -> None:
    arguments.change("kubelet", {"--max-pods": "9"})
    hooks.install()
    assert arguments.get("kubelet", "--max-pods") == "9"


@pytest.fixture
def snapctl(node: Node, monkeypatch: pytest.MonkeyPatch, restarts: list[str]) -> Path:
    """A fake snapctl for the configure hook: it prints the file with the option `config`."""
    assert restarts == []
    option = node.common / "option"
    option.write_text("\n")
    directory = node.common / "path"
    directory.mkdir()
    program = directory / "snapctl"
    program.write_text(f'#!/bin/sh\n[ "$*" = "get config" ] && exec cat {option}\n')
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(directory), prepend=":")
    own_group = grp.getgrgid(os.getgid())
    monkeypatch.setattr(grp, "getgrnam", lambda _: own_group)
    return option


def test_every_configure_restarts_kubernetes(node: Node, snapctl: Path, restarts: list[str]) -> None:
    assert snapctl.exists()
    hooks.configure()
    assert restarts == ["kubelite"]
    assert not (node.common / "etc/launcher/snap-set.yaml").exists()

    (node.data / "var/lock/stopped.lock").touch()
    hooks.configure()
    assert restarts == ["kubelite"], "stopped services stay stopped"


def test_snap_set_waits_for_the_agent_unless_applied(node: Node, snapctl: Path) -> None:
    snapctl.write_text(CONFIG)
    hooks.configure()
    waiting = node.common / "etc/launcher/snap-set.yaml"
    assert waiting.read_text() == CONFIG

    waiting.rename(f"{waiting}.applied")
    hooks.configure()
    assert not waiting.exists()

    snapctl.write_text(f"{CONFIG}extraSANs: []\n")
    hooks.configure()
    assert waiting.exists()


def test_files_outside_the_snap_are_removed_with_it(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    for module, name in (
        (containers, "kill_all"),
        (containers, "unmount_all"),
        (kubelite, "stop_forwarding_pods"),
        (host, "apply_kernel_settings"),
    ):
        monkeypatch.setattr(module, name, lambda name=name: done.append(name))
    monkeypatch.setattr(services, "pause", lambda *names: done.append(f"stop {len(names)} services"))
    monkeypatch.setattr(hooks, "_pod_interfaces", list)
    (node.common / "var/lib/containerd/content").mkdir(parents=True)
    hook = node.common / "hooks/remove.d/10-mine"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {node.common}/hook-ran\n")
    hook.chmod(stat.S_IRWXU)

    hooks.remove()

    assert done == [
        "stop 8 services",
        "kill_all",
        "stop_forwarding_pods",
        "unmount_all",
        "apply_kernel_settings",
    ]
    assert not (node.data.parent / "cni/bin").is_symlink()
    assert not (node.common / "var/lib/containerd").exists()
    assert (node.common / "hook-ran").exists()


def test_files_belong_to_the_group_once_it_exists(node: Node) -> None:
    file = node.data / "args/kubelet"
    file.chmod(0o644)
    certificates.give_to_group(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o660
