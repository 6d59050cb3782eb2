"""The state of every Filebeat, from its own metrics."""

import concurrent.futures
import json
import socket
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_EVENTS = {
    "active": ("pipeline", "events", "active"),
    "read": ("pipeline", "events", "total"),
    "acked": ("output", "events", "acked"),
    "failed": ("output", "events", "failed"),
    "dropped": ("output", "events", "dropped"),
}
"""Counter names used here, and their paths in Filebeat's metrics."""


class Sender(NamedTuple):
    """One Filebeat.

    Attributes:
        node: Its own name, or its address if it does not respond.
        events: Its counters of lines; None if it does not respond.
    """

    node: str
    events: Mapping[str, float]


def senders(name: str, timeout: float) -> Iterator[Sender]:
    """Query every Filebeat behind a host name.

    Args:
        name: A host and a port; the host has one address for each Filebeat.
        timeout: Timeout for each Filebeat in seconds.
    """
    host, _, port = name.rpartition(":")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except socket.gaierror:  # the name does not resolve
        return
    addresses = sorted({str(address[4][0]) for address in found})
    with concurrent.futures.ThreadPoolExecutor(max_workers=16) as pool:
        yield from pool.map(lambda address: _query(address, int(port), timeout), addresses)


def _query(address: str, port: int, timeout: float) -> Sender:
    place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    try:
        itself, stats = (_get(f"http://{place}/{page}", timeout) for page in ("", "stats"))
        beat = stats["libbeat"]
        return Sender(itself["name"], {name: _number(beat, path) for name, path in _EVENTS.items()})
    except (OSError, ValueError, KeyError, TypeError):
        return Sender(address, {})


def _get(url: str, timeout: float) -> Any:
    with urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310 (fixed server)
        return json.load(answer)


def _number(node: Any, path: tuple[str, ...]) -> float:
    """Return a counter, which Filebeat omits while it is zero."""
    for key in path:
        node = node.get(key, {})
    return float(node or 0)
