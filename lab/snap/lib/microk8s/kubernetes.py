"""What the cluster says, asked with kubectl as a person would."""

import subprocess
import time

from . import paths, programs


def _command(*arguments: str) -> list[str]:
    return [programs.path("kubectl"), f"--kubeconfig={paths.credential('client.config')}", *arguments]


def kubectl(*arguments: str, manifest: str | None = None) -> str:
    """Return what kubectl prints.

    Raises:
        subprocess.CalledProcessError: When kubectl fails; its message has gone to standard error.
    """
    command = _command(*arguments)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, input=manifest, text=True).stdout


def _answer(*arguments: str) -> str:
    """Return what kubectl prints, or nothing when there is no cluster to ask."""
    return subprocess.run(_command(*arguments), check=False, capture_output=True, text=True).stdout


def is_ready(*, with_node: bool = True) -> bool:
    """Return whether the API serves, and a node is `Ready` and nothing else, such as cordoned."""
    if not _answer("get", "service", "kubernetes", "--namespace=default", "--output=name"):
        return False
    states = [line.split()[1] for line in _answer("get", "nodes", "--no-headers").splitlines()]
    return not with_node or "Ready" in states


def wait_until_ready(timeout: float, *, with_node: bool = True) -> bool:
    """Wait until the cluster is ready, at most `timeout` seconds, or for ever when that is 0."""
    deadline = time.monotonic() + timeout
    while not is_ready(with_node=with_node):
        if timeout and time.monotonic() > deadline:
            return False
        time.sleep(1)
    return True


def listing() -> list[str]:
    """Return the lines of `kubectl get` in which an addon is looked for."""
    return [
        *_answer("get", "all,ingress,ingressclass", "--all-namespaces").splitlines(),
        *_answer("get", "clusterroles", "--show-kind", "--no-headers").splitlines(),
    ]


def node_addresses() -> list[str]:
    """Return the InternalIP of every node."""
    path = '{.items[*].status.addresses[?(@.type=="InternalIP")].address}'
    return kubectl("get", "nodes", f"--output=jsonpath={path}").split()
