"""Which pods of a running home can really connect to which others."""

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from harness.home import Kubectl
from harness.policies import ANY_PORT, ANYWHERE, CONNECTIONS, Rule, table_rules
from harness.roles import ROOT

_CONNECT = (ROOT / "harness/connect.py").read_text()
_NAMES = ("app.kubernetes.io/component", "app.kubernetes.io/name", "k8s-app")


@dataclass(frozen=True)
class Pod:
    """A running pod with an address of its own.

    Attributes:
        name: namespace/app, as in connections.yml.
        address: its IPv4 address.
        pid: a process in its network, on the machine.
        ports: number and name of each declared TCP port.
    """

    name: str
    address: str
    pid: int
    ports: tuple[tuple[int, str], ...]


@dataclass(frozen=True, order=True)
class Connection:
    """A pod's connection to a TCP port of another."""

    source: str
    target: str
    port: int


def running_pods(host: Host, kubectl: Kubectl) -> list[Pod]:
    """Return one running pod of each app that is not in the host's network."""
    tasks = host.check_output("/snap/bin/microk8s ctr tasks ls").splitlines()[1:]
    pids = {line.split()[0]: int(line.split()[1]) for line in tasks}
    pods = (
        _pod(each, pids)
        for each in kubectl.get("pods -A --field-selector=status.phase=Running")["items"]
        if not each["spec"].get("hostNetwork") and "deletionTimestamp" not in each["metadata"]
    )
    return list({pod.name: pod for pod in pods}.values())


def _pod(pod: dict[str, Any], pids: dict[str, int]) -> Pod:
    labels = pod["metadata"]["labels"]
    app = next(labels[key] for key in (*_NAMES, *labels) if key in labels)
    container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    ports = [
        (port["containerPort"], port.get("name", ""))
        for each in pod["spec"]["containers"]
        for port in each.get("ports", [])
        if port.get("protocol", "TCP") == "TCP"
    ]
    name = f"{pod['metadata']['namespace']}/{app}"
    return Pod(name, pod["status"]["podIP"], pids[container], tuple(ports))


def reachable(host: Host, pods: Iterable[Pod]) -> set[Connection]:
    """Connect from each pod to all declared ports of all other pods and return what got through."""
    pods = list(pods)
    targets = {(pod.address, port): pod.name for pod in pods for port, _ in pod.ports}
    job = json.dumps([{pod.name: pod.pid for pod in pods}, sorted(targets)])
    found: dict[str, list[tuple[str, int]]] = json.loads(host.check_output("python3 -c %s %s", _CONNECT, job))
    return {
        Connection(source, targets[address, port], port)
        for source, answers in found.items()
        for address, port in answers
        if targets[address, port] != source
    }


def allowed(pods: Iterable[Pod]) -> Iterator[Connection]:
    """Return the connections that connections.yml allows between these pods."""
    rules = [rule for table in CONNECTIONS.values() for rule in table_rules(table)]
    for source, target in itertools.permutations(pods, 2):
        for port in target.ports:
            if _permits(rules, "out", source, target, port) and _permits(rules, "in", target, source, port):
                yield Connection(source.name, target.name, port[0])


def _permits(rules: list[Rule], direction: str, pod: Pod, peer: Pod, port: tuple[int, str]) -> bool:
    """Whether a pod may connect (out) or be connected to (in); one of another's namespace always may."""
    namespaces = {rule.pod.partition("/")[0] for rule in rules}
    if pod.name.partition("/")[0] not in namespaces:
        return True
    numbers = {str(port[0]), port[1], ANY_PORT}
    return any(
        rule.direction == direction
        and _matches(rule.pod, pod.name)
        and (rule.peer == ANYWHERE or _matches(rule.peer, peer.name))
        and rule.port in numbers
        for rule in rules
    )


def _matches(pattern: str, name: str) -> bool:
    """Whether namespace/name is meant; every app has the connections of the example."""
    name = (
        f"apps/{pattern.partition('/')[2]}" if name.startswith("apps/") and pattern == "apps/hello" else name
    )
    return all(one in ("*", other) for one, other in zip(pattern.split("/"), name.split("/"), strict=True))
