"""Egress rules name who is connected to, as far as a URL tells; the firewall gets addresses alone."""

from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.filter.network import addresses, egress_to

COLLECTOR = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tracing"}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "collector"}},
}
OTEL = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "otel"}}}


@pytest.mark.parametrize(
    ("url", "peer", "port"),
    [
        ("http://collector.tracing:4318", COLLECTOR, 4318),
        ("http://collector.tracing.svc:4318/v1", COLLECTOR, 4318),
        ("https://collector.tracing.svc.cluster.local", COLLECTOR, 443),
        # The Service may have any pods.
        ("http://gateway.otel.svc:4318", OTEL, 4318),
        ("http://192.168.1.20", {"ipBlock": {"cidr": "192.168.1.20/32"}}, 80),
        ("http://[fd00::20]:4318", {"ipBlock": {"cidr": "fd00::20/128"}}, 4318),
        ("https://otel.example", None, 443),
        ("https://collector.tracing.example.org", None, 443),
        ("http://nas:4318", None, 4318),
    ],
)
def test_a_rule_names_its_target(url: str, peer: dict[str, Any] | None, port: int) -> None:
    assert egress_to(url) == ({"to": [peer]} if peer else {}) | {"ports": [{"port": port}]}


def test_only_addresses_are_admitted_each_once_and_in_order() -> None:
    texts = [
        "fd00::2",
        "192.168.1.11",
        "attic.lan",
        "cafe.de",
        "",
        "a",
        "192.168.1.9",
        "192.168.1.11",
        "FD00::2",
    ]

    assert addresses(texts) == ["192.168.1.9", "192.168.1.11", "fd00::2"]
