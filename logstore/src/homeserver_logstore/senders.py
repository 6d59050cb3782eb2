"""How every Filebeat fares, as each says of itself."""

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
"""By what they are called here, where in Filebeat's own numbers they are."""


class Sender(NamedTuple):
    """A Filebeat.

    Attributes:
        node: What it calls itself, or its address if it says nothing.
        events: How many lines are where; none if it says nothing.
    """

    node: str
    events: Mapping[str, float]


def senders(name: str, timeout: float) -> Iterator[Sender]:
    """Ask every Filebeat that a name stands for.

    Args:
        name: A host and a port; the host has one address for each Filebeat.
        timeout: Seconds that one may take.
    """
    host, _, port = name.rpartition(":")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except socket.gaierror:  # there is none
        return
    addresses = sorted({str(address[4][0]) for address in found})
    with concurrent.futures.ThreadPoolExecutor(max_workers=16) as pool:
        yield from pool.map(lambda address: _ask(address, int(port), timeout), addresses)


def _ask(address: str, port: int, timeout: float) -> Sender:
    place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    try:
        itself, stats = (_get(f"http://{place}/{page}", timeout) for page in ("", "stats"))
        beat = stats["libbeat"]
        return Sender(itself["name"], {name: _number(beat, path) for name, path in _EVENTS.items()})
    except (OSError, ValueError, KeyError, TypeError):
        return Sender(address, {})


def _get(url: str, timeout: float) -> Any:
    with urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310 (our own server)
        return json.load(answer)


def _number(node: Any, path: tuple[str, ...]) -> float:
    """A number of Filebeat's, which leaves out what has never happened."""
    for key in path:
        node = node.get(key, {})
    return float(node or 0)
