"""The commands as a user runs them: in another process, with output and exit code."""

import pytest

from .conftest import Node, microk8s

WORKER = "This MicroK8s deployment is acting as a node in a cluster."
STOPPED = "microk8s is not running, try microk8s start"


@pytest.mark.parametrize(
    ("words", "code", "output"),
    [
        ("version", 0, "MicroK8s v1.35.4 revision x1\n"),
        ("refresh-certs", 3, "Please use the '--cert' flag to select the certificate you need refreshed.\n"),
        ("refresh-certs -c -e ca.crt", 2, "Please select only one of the options -c, -u or -e.\n"),
        ("refresh-certs -e other.crt", 2, ""),
        ("enable", 2, ""),
        ("stop --force", 2, ""),
        ("images", 2, ""),
        ("config -l", 0, "server: https://127.0.0.1:16443\n\n"),
        ("join", 2, ""),
        ("join a b", 2, ""),
        ("join --disable-apiserver-proxy 10.0.0.1:25000/token", 2, ""),
        ("helm list", 1, ""),
    ],
)
def test_a_command_has_the_exit_code_of_microk8s(node: Node, words: str, code: int, output: str) -> None:
    (node.data / "credentials/client.config").write_text("server: https://127.0.0.1:16443\n")
    done = microk8s(node, *words.split())
    assert (done.returncode, done.stdout) == (code, output)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("status", 0),
        ("status --wait-ready", 0),
        ("kubectl get nodes", 1),
        ("enable dns", 1),
        ("disable dns", 1),
        ("add-node", 1),
        ("leave", 1),
    ],
)
def test_after_stop(node: Node, words: str, code: int) -> None:
    (node.data / "var/lock/stopped.lock").touch()
    done = microk8s(node, *words.split())
    assert (done.returncode, done.stdout) == (code, f"{STOPPED}\n")


@pytest.mark.parametrize(
    ("words", "code", "advice"),
    [
        ("status", 0, "Please use the control plane node."),
        ("enable dns", 1, "Please use the control plane node."),
        ("start", 0, "Use 'snap start microk8s' to start services on this node."),
        ("stop", 0, "Use 'snap stop microk8s' to stop services on this node."),
        ("config", 0, "Please use the microk8s config on the control plane node."),
        ("kubectl get nodes", 0, "Please use the microk8s kubectl on the control plane node."),
        ("refresh-certs -c", 0, "Please use the control plane node."),
    ],
)
def test_on_a_worker(node: Node, words: str, code: int, advice: str) -> None:
    (node.data / "var/lock/clustered.lock").touch()
    done = microk8s(node, *words.split())
    assert (done.returncode, done.stdout) == (code, f"{WORKER}\n{advice}\n")


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("add-node --format json", "Please use the microk8s add-node on the master."),
        ("remove-node founder", "Please use microk8s leave."),
    ],
)
def test_a_worker_changes_no_other_node(node: Node, words: str, advice: str) -> None:
    (node.data / "var/lock/clustered.lock").touch()
    done = microk8s(node, *words.split())
    assert (done.returncode, done.stdout) == (1, f"{WORKER} {advice}\n")


def test_available_commands_are_listed(node: Node) -> None:
    for words, code in {(): 1, ("help",): 0, ("nosuch",): 1}.items():
        done = microk8s(node, *words)
        assert done.returncode == code
        assert "\trefresh-certs\n" in done.stdout
    assert done.stdout.startswith("'nosuch' is not a valid MicroK8s subcommand.\n")


def test_a_missing_command_is_reported(node: Node) -> None:
    assert microk8s(node, "dbctl").stderr == "The lab's MicroK8s has no command dbctl.\n"


def test_a_plugin_is_a_command(node: Node) -> None:
    plugin = node.common / "plugins/greet"
    plugin.write_text('#!/bin/sh\necho "hello $1"; exit 7\n')
    plugin.chmod(0o755)
    done = microk8s(node, "greet", "you")
    assert (done.returncode, done.stdout) == (7, "hello you\n")


def test_programs_keep_their_own_exit_codes(node: Node) -> None:
    node.program("kubectl", '#!/bin/sh\necho "$KUBECONFIG $@"; exit 9\n')
    done = microk8s(node, "kubectl", "get", "--raw=/x")
    assert (done.returncode, done.stdout) == (9, f"{node.data}/credentials/client.config get --raw=/x\n")
    node.program("ctr", '#!/bin/sh\necho "$@"; exit 8\n')
    done = microk8s(node, "ctr", "images", "ls")
    assert (done.returncode, done.stdout) == (
        8,
        f"--address={node.common}/run/containerd.sock --namespace k8s.io images ls\n",
    )
