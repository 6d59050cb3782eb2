from pathlib import Path

import pytest
from microk8s import arguments, hooks, launch

from .conftest import Node

LOOKS_AT_EVERYTHING = """\
version: 0.2.0
extraKubeletArgs:
  --cluster-dns: 10.152.183.10
  --fail-cgroupv1: "false"
  --read-only-port: ~
extraKubeProxyArgs: {--conntrack-tcp-timeout-established: 0s}
extraKubeAPIServerArgs: {--authorization-mode: "RBAC,Node"}
extraSANs: [home.example, 198.51.100.4]
containerdRegistryConfigs:
  mirror.example:5000: |
    server = "https://mirror.example:5000"
extraConfigFiles: {audit.yaml: "kind: Policy"}
extraContainerdEnv: {HTTPS_PROXY: "http://proxy:3128"}
addons: [{name: rbac}]
---
version: 0.1.0
extraKubeletArgs: {--max-pods: 60}
"""


def test_a_document_changes_the_files_of_its_keys(node: Node) -> None:
    changed = launch.configure(launch.load(LOOKS_AT_EVERYTHING))

    kubelet = node.read("args/kubelet").splitlines()
    assert {"--cluster-dns=10.152.183.10", "--fail-cgroupv1=false", "--max-pods=60"} <= set(kubelet)
    assert not any(line.startswith("--read-only-port") for line in kubelet)
    assert "--conntrack-tcp-timeout-established=0s" in node.read("args/kube-proxy").splitlines()
    assert "--authorization-mode=RBAC,Node" in node.read("args/kube-apiserver").splitlines()
    assert (
        node.read("args/certs.d/mirror.example:5000/hosts.toml") == 'server = "https://mirror.example:5000"\n'
    )
    assert node.read("args/audit.yaml") == "kind: Policy"
    template = node.read("certs/csr.conf.template").splitlines()
    assert {"DNS.6 = home.example", "IP.3 = 198.51.100.4"} <= set(template)
    assert arguments.environment("containerd-env") == {"HTTPS_PROXY": "http://proxy:3128"}
    assert changed == {"kubelite", "containerd"}


def test_of_two_files_the_shorter_name_is_applied_last_if_a_hyphen_follows_it(node: Node) -> None:
    """As by Go's Glob: `-` is before `.`, and `_` after it."""
    launcher = node.common / "etc/launcher"
    (launcher / "install.yaml").unlink()
    for name in ("mine", "mine-more", "mine_more"):
        (launcher / f"{name}.yaml").write_text("version: 9.9.9")
    shown = [file.stem for file in sorted(launcher.glob("*.yaml"))]
    assert shown == ["mine-more", "mine", "mine_more"]


def test_a_repetition_changes_nothing(node: Node) -> None:
    launch.configure(launch.load(LOOKS_AT_EVERYTHING))
    before = {file: file.read_bytes() for file in node.data.rglob("*") if file.is_file()}
    assert launch.configure(launch.load(LOOKS_AT_EVERYTHING)) == set()
    assert {file: file.read_bytes() for file in node.data.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("extraKubeletArgs: {}", "unsupported version ''"),
        ("version: 0.3.0", "unsupported version '0.3.0'"),
        ("version: [", "not YAML"),
        ("- version: 0.1.0", "must be a map"),
        ("version: 0.1.0\nextraKubeletArgs: [--max-pods=1]", "extraKubeletArgs must map flags to values"),
        ("version: 0.1.0\nextraSANs: home.example", "extraSANs must be a list"),
        ("version: 0.1.0\naddons: [dns]", "addons must be a list of addons, each with a name"),
        ("version: 0.1.0\naddons: [{name: dns, args: 1.1.1.1}]", "arguments in a list"),
        ("version: 0.1.0\npersistentClusterToken: short", "at least 32 characters"),
        ("version: 0.1.0\njoin: {url: x}", "join is not part of the lab's MicroK8s"),
    ],
)
def test_an_invalid_document_is_rejected(text: str, complaint: str) -> None:
    with pytest.raises(launch.InvalidError, match=complaint.replace("[", r"\[")):
        launch.load(text)


def test_an_unknown_key_is_only_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.load("version: 0.1.0\nextraKubeletArg: {}")
    assert "Ignoring unknown key extraKubeletArg" in capsys.readouterr().err


def test_the_owners_file_replaces_the_default(empty_node: Node) -> None:
    assert launch.source() == empty_node.snap / "microk8s.default.yaml"
    own = empty_node.common / ".microk8s.yaml"
    own.write_text("version: 0.1.0")
    assert launch.source() == own


def test_the_install_hook_leaves_addons_to_the_cluster_agent(empty_node: Node) -> None:
    (empty_node.common / ".microk8s.yaml").write_text(LOOKS_AT_EVERYTHING)
    hooks.install()
    assert "--max-pods=60" in empty_node.read("args/kubelet")
    assert (empty_node.common / "etc/launcher/install.yaml").read_text() == LOOKS_AT_EVERYTHING


def test_an_invalid_configuration_fails_the_installation(
    empty_node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    (empty_node.common / ".microk8s.yaml").write_text("version: 9.9.9")
    with pytest.raises(SystemExit) as stopped:
        hooks.install()
    assert stopped.value.code == 1
    assert "unsupported version '9.9.9'" in capsys.readouterr().err


def _calls_of_microk8s(node: Node, code: int = 0) -> Path:
    calls = node.common / "calls"
    node.program("microk8s", f'#!/bin/sh\necho "$@" >> {calls}\nexit {code}\n')
    return calls


def test_a_pending_configuration_is_applied_once(node: Node, restarts: list[str]) -> None:
    calls = _calls_of_microk8s(node)
    launcher = node.common / "etc/launcher"
    (launcher / "install.yaml").unlink()
    (launcher / "more.yaml").write_text(
        "version: 0.1.0\n"
        "extraKubeletArgs: {--max-pods: 60}\n"
        "extraMicroK8sClusterAgentArgs: {--bind: '0.0.0.0:25001'}\n"
        "addons: [{name: dns, args: [192.0.2.1]}, {name: metrics-server, disable: true}]\n"
    )
    launch.apply_pending(launcher)
    launch.apply_pending(launcher)

    assert calls.read_text() == "enable dns 192.0.2.1\ndisable metrics-server\n"
    # The agent itself last: its restart would interrupt it.
    assert restarts == ["kubelite", "cluster-agent"]
    assert [file.name for file in launcher.iterdir()] == ["more.yaml.applied"]


def test_a_failed_one_is_kept_for_the_next_scan(
    node: Node, restarts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    _calls_of_microk8s(node, code=1)
    launch.apply_pending(node.common / "etc/launcher")
    assert (node.common / "etc/launcher/install.yaml").exists()
    assert "Failed to apply" in capsys.readouterr().out
    assert restarts == []
