"""Network policies in the words of the diagram: who may talk to whom, and at which port."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import yaml

from harness.roles import ROOT

Object = dict[str, Any]
ANYWHERE = "anywhere"
ANY_PORT = "any"

CONNECTIONS: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "tests/static/connections.yml").read_text())

_NAMESPACE = "kubernetes.io/metadata.name"
_POD = ("app.kubernetes.io/name", "app.kubernetes.io/component", "k8s-app")


class Rule(NamedTuple):
    """One permission of one policy.

    Attributes:
        pod: whom the policy is for, as namespace/name; an asterisk is for all.
        direction: of the connection, as the pod sees it.
        peer: the other end.
        port: number or name, with the protocol unless it is TCP.
    """

    pod: str
    direction: Literal["in", "out"]
    peer: str
    port: str


def table_rules(table: dict[str, Any]) -> Iterator[Rule]:
    """Return the rules of one table of connections.yml."""
    for pod, directions in table.items():
        for direction, peers in directions.items():
            for peer, ports in peers.items():
                yield from (Rule(pod, direction, peer, str(port)) for port in ports)


def rules(objects: list[Object]) -> list[Rule]:
    """Return all permissions of all policies."""
    policies = [obj for obj in objects if obj["kind"] == "NetworkPolicy"]
    return [rule for policy in policies for rule in _rules_of(policy)]


def _rules_of(policy: Object) -> Iterator[Rule]:
    home, spec = policy["metadata"]["namespace"], policy["spec"]
    sides: tuple[tuple[Literal["in", "out"], str, str], ...] = (
        ("in", "ingress", "from"),
        ("out", "egress", "to"),
    )
    for direction, field, side in sides:
        # Kubernetes ignores rules of a type that is not table_rules; a type without rules denies all.
        assert field not in spec or field.title() in spec["policyTypes"], policy["metadata"]
        for rule in spec.get(field, []):
            peers = [text for peer in rule.get(side) or [{}] for text in _peers(peer, home)]
            ports = [_port(port) for port in rule.get("ports") or [{}]]
            for pod in _selected(spec["podSelector"], _POD):
                yield from (Rule(f"{home}/{pod}", direction, peer, port) for peer in peers for port in ports)


def _peers(peer: Object, home: str) -> Iterator[str]:
    if "ipBlock" in peer:
        yield str(peer["ipBlock"]["cidr"])
    elif not peer:
        yield ANYWHERE
    else:
        namespaces = (
            _selected(peer["namespaceSelector"], (_NAMESPACE,)) if "namespaceSelector" in peer else [home]
        )
        for namespace in namespaces:
            yield from (f"{namespace}/{pod}" for pod in _selected(peer.get("podSelector", {}), _POD))


def _selected(selector: dict[str, Any], labels: tuple[str, ...]) -> list[str]:
    """Return the values of the one label that a selector asks for."""
    if not selector:
        return ["*"]
    equal = [(label, [text]) for label, text in selector.get("matchLabels", {}).items()]
    within = [(entry["key"], entry["values"]) for entry in selector.get("matchExpressions", [])]
    assert all(entry["operator"] == "In" for entry in selector.get("matchExpressions", [])), selector
    ((label, values),) = equal + within
    assert label in labels, selector
    return list(values)


def _port(port: dict[str, Any]) -> str:
    protocol = port.get("protocol", "TCP")
    return str(port.get("port", ANY_PORT)) + ("" if protocol == "TCP" else f"/{protocol}")
