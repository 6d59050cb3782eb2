"""The network policies of components: one line of a declaration defines both ends of a connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .components import Value, components, full_name, own_namespaces, runs

Object = dict[str, Any]

_ANYWHERE = "anywhere"
_API = "api"
_API_PORT = 16443
"""The Kubernetes API, on whichever node it runs: policies apply after its service address was resolved."""
_DNS: Object = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}


class _Connection(NamedTuple):
    source: str
    """The pod that opens it, as `namespace/name`; `*` is every pod of the namespace."""
    target: str
    """The pod that accepts it, or `anywhere`."""
    port: int
    """0 for all."""


def network_policies(role: str, value: Value) -> list[Object]:
    """Return the network policies of a component, with the other components that run.

    Args:
        role: its role.
        value: evaluates the expressions in a declaration.
    """
    running = {name: each for name, each in components().items() if runs(each, value)}
    pods = {
        full_name(pod, each): value(targets)
        for each in running.values()
        for pod, targets in each.get("connects", {}).items()
    }
    there = _There(pod for pod, targets in pods.items() if targets is not None)
    opened = {pod: [*there.opened(pod, pods[pod])] for pod in there.pods.values()}
    accepted = [each for connections in opened.values() for each in connections]
    for each in running.values():
        for connection in there.opened_by("traefik", value(each.get("routed", []))):
            opened[connection.source].append(connection)
            accepted.append(connection)
        accepted += there.opened_by("prometheus", value(each.get("scraped", [])))
        for address, sources in each.get("accepts", {}).items():
            for source in value(sources):
                if source.endswith("/*") or source in opened:
                    accepted += there.opened(source, [address])
    declared = components()[role]
    own = {full_name(pod, declared) for pod in declared.get("connects", {})}
    isolated = own_namespaces(role, value)
    return [
        *(_policy(namespace, "default-deny", {}, ["Ingress", "Egress"]) for namespace in isolated),
        *(_names(namespace) for namespace in isolated if declared.get("dns")),
        *(_policy_of(pod, accepted, opened[pod]) for pod in opened if pod in own),
    ]


class _There:
    """The pods that run."""

    def __init__(self, pods: Iterator[str]) -> None:
        self.pods = {pod.partition("/")[2]: pod for pod in pods}

    def opened_by(self, name: str, targets: list[str]) -> list[_Connection]:
        return [*self.opened(self.pods[name], targets)] if name in self.pods else []

    def opened(self, source: str, targets: list[str]) -> Iterator[_Connection]:
        """Return the connections to those targets that run."""
        for target in filter(None, targets):
            name, _, port = target.partition(":")
            if name == _API:
                yield _Connection(source, _ANYWHERE, _API_PORT)
            elif name == _ANYWHERE:
                yield _Connection(source, _ANYWHERE, int(port or 0))
            elif name in self.pods:
                yield _Connection(source, self.pods[name], int(port))


def _names(namespace: str) -> Object:
    """Return the policy of a namespace whose pods may query DNS."""
    ports = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    return _policy(namespace, "names", {}, ["Egress"], egress=[{"to": [_DNS], "ports": ports}])


def _policy_of(pod: str, connections: list[_Connection], opened: list[_Connection]) -> Object:
    namespace, name = pod.split("/")
    accepted = [(each.source, each.port) for each in connections if each.target == pod]
    return _policy(
        namespace,
        name,
        {"matchLabels": {"app.kubernetes.io/name": name}},
        ["Ingress", "Egress"],
        ingress=_rules("from", namespace, accepted),
        egress=_rules("to", namespace, [(each.target, each.port) for each in opened]),
    )


def _rules(direction: str, here: str, ends: list[tuple[str, int]]) -> list[Object]:
    """Return a rule for each port, with all its peers."""
    rules: list[Object] = []
    for port in dict.fromkeys(port for _, port in ends):
        peers = dict.fromkeys(end for end, of in ends if of == port)
        rule: Object = {"ports": [{"port": port}]} if port else {}
        if _ANYWHERE not in peers:
            rule[direction] = [_peer(peer, here) for peer in peers]
        rules.append(rule)
    return rules


def _peer(pod: str, here: str) -> Object:
    namespace, name = pod.split("/")
    peer: Object = {}
    if namespace != here:
        peer["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    if name != "*":
        peer["podSelector"] = {"matchLabels": {"app.kubernetes.io/name": name}}
    return peer or {"podSelector": {}}


def _policy(namespace: str, name: str, selector: Object, types: list[str], **rules: list[Object]) -> Object:
    spec = {"podSelector": selector, "policyTypes": types}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec | {key: each for key, each in rules.items() if each},
    }
