"""Filters for rules of network policies and of the firewall."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.homeserver.stack.plugins.module_utils.preflight.formats import fits

_PORTS = {"http": 80, "https": 443}
_OURS = ("apps", "logging", "monitoring", "tracing", "traefik")
"""Namespaces of this stack, in which a Service has the name of its app."""
_IN_CLUSTER = (".svc", ".svc.cluster.local")


def egress_to(url: str) -> dict[str, Any]:
    """Return the egress rule for requests to a URL.

    It allows the pods of this stack, the namespace of another Service, or an address. Only DNS knows the
    addresses of other host names, so for these the rule allows the port everywhere.
    """
    parts = urlsplit(url)
    ports = [{"port": parts.port or _PORTS[parts.scheme]}]
    peer = _peer(parts.hostname or "")
    return {"to": [peer], "ports": ports} if peer else {"ports": ports}


def _peer(host: str) -> dict[str, Any]:
    try:
        address = ip_address(host)
    except ValueError:
        return _service(host)
    return {"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}


def _service(host: str) -> dict[str, Any]:
    inside = next((end for end in reversed(_IN_CLUSTER) if host.endswith(end)), "")
    service, _, namespace = host.removesuffix(inside).partition(".")
    if not (namespace in _OURS or (inside and namespace)):
        return {}
    peer: dict[str, Any] = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    if namespace in _OURS:
        peer["podSelector"] = {"matchLabels": {"app.kubernetes.io/name": service}}
    return peer


def addresses(texts: Iterable[str]) -> list[str]:
    """Return the texts that are addresses, without duplicates, sorted with IPv4 first."""
    found = {ip_address(text) for text in texts if fits("address", text)}
    return [str(address) for address in sorted(found, key=lambda each: (each.version, int(each)))]


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"addresses": addresses, "egress_to": egress_to}
