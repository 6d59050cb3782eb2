"""The state of the cluster, queried with kubectl."""

import subprocess
import time

from . import paths, programs


def _command(*arguments: str) -> list[str]:
    return [programs.path("kubectl"), f"--kubeconfig={paths.credential('client.config')}", *arguments]


def kubectl(*arguments: str, manifest: str | None = None) -> str:
    """Return kubectl's output.

    Raises:
        subprocess.CalledProcessError: When kubectl fails; its message is on standard error.
    """
    command = _command(*arguments)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, input=manifest, text=True).stdout


def _answer(*arguments: str) -> str:
    """Return kubectl's output, or nothing if the cluster is not available."""
    return subprocess.run(_command(*arguments), check=False, capture_output=True, text=True).stdout


def is_ready(*, with_node: bool = True) -> bool:
    """Return whether the API is available, and a node is `Ready` and nothing else, such as cordoned."""
    if not _answer("get", "service", "kubernetes", "--namespace=default", "--output=name"):
        return False
    states = [line.split()[1] for line in _answer("get", "nodes", "--no-headers").splitlines()]
    return not with_node or "Ready" in states


def wait_until_ready(timeout: float, *, with_node: bool = True) -> bool:
    """Wait until the cluster is ready, at most `timeout` seconds, or forever if that is 0."""
    deadline = time.monotonic() + timeout
    while not is_ready(with_node=with_node):
        if timeout and time.monotonic() > deadline:
            return False
        time.sleep(1)
    return True


def listing() -> list[str]:
    """Return the lines of `kubectl get` that show which addons are enabled."""
    return [
        *_answer("get", "all,ingress,ingressclass", "--all-namespaces").splitlines(),
        *_answer("get", "clusterroles", "--show-kind", "--no-headers").splitlines(),
    ]


def node_names_by_address(selector: str = "") -> dict[str, str]:
    """Return the name of every node that has these labels, by its InternalIP."""
    address = '{.status.addresses[?(@.type=="InternalIP")].address}'
    path = f"{{range .items[*]}}{address} {{.metadata.name}}\n{{end}}"
    listed = kubectl("get", "nodes", f"--selector={selector}", f"--output=jsonpath={path}")
    return dict(line.split()[:2] for line in listed.splitlines())


def node_addresses() -> list[str]:
    """Return the InternalIP of every node."""
    return list(node_names_by_address())


def control_plane_addresses() -> list[str]:
    """Return the InternalIP of every node that runs the control plane."""
    return list(node_names_by_address("node.kubernetes.io/microk8s-controlplane=microk8s-controlplane"))
