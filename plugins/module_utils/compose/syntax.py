"""Brings the short and long forms of a service's ports, mounts and sizes to one form.

See https://docs.docker.com/reference/compose-file/services/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple


class Port(NamedTuple):
    """A port of a container, and the one of the host that leads to it."""

    target: int
    published: int
    """0 for any that is free."""
    protocol: str
    address: str = ""
    """The address of the host that has the port; empty for all."""
    is_exposed: bool = False
    """Whether only other containers can reach it."""


class Mount(NamedTuple):
    """A directory or file of a container."""

    kind: str
    """`bind`, `volume` or `tmpfs`; `place` for a directory that stays on the host; `file` for one whose
    content is the source."""
    source: str
    """A path of the host, or the name of a volume; empty for a new one."""
    target: str
    read_only: bool = False
    subdirectory: str = ""
    propagation: str = ""


_SHORT = re.compile(
    r"(?:(?P<address>\[[^\]]*\]|[^:\[]*):)?(?:(?P<published>[\d-]*):)?(?P<target>[\d-]+)(?:/(?P<protocol>\w+))?"
)
_MOST = 128  # ports of one range


def ports(value: list[Any]) -> Iterator[Port]:
    """Return the ports of a service.

    Raises:
        ValueError: one of them is not a port, or the reason why it is not possible.
    """
    for each in value:
        if isinstance(each, dict):
            published, address = each.get("published", ""), each.get("host_ip", "")
            yield from _range(address, published, each["target"], each.get("protocol", "tcp"))
        else:
            yield from _short_port(each)


def exposed(value: list[str]) -> Iterator[Port]:
    """Return the ports of a service that other containers may reach.

    Raises:
        ValueError: see `ports`.
    """
    for each in value:
        number, _, protocol = each.partition("/")
        for port in _range("", "", number, protocol or "tcp"):
            yield port._replace(is_exposed=True)


def _short_port(text: str) -> Iterator[Port]:
    found = _SHORT.fullmatch(text.strip())
    if not found:
        fix = "set its variable in .env" if not text.strip(":/") else "write it as 8080:80"
        raise ValueError(f"{text!r} is not a port -> {fix}")
    address, published = found["address"] or "", found["published"] or ""
    # `8080:80` has no address.
    if found["published"] is None and re.fullmatch(r"[\d-]*", address):
        address, published = "", address
    yield from _range(address.strip("[]"), published, found["target"], found["protocol"] or "tcp")


def _range(address: str, published: str, target: str, protocol: str) -> Iterator[Port]:
    inner, outer = _numbers(target), _numbers(published or "0")
    if protocol.lower() not in ("tcp", "udp"):
        raise ValueError(f"{target}/{protocol} is neither TCP nor UDP -> remove the port")
    if 0 in inner:
        raise ValueError(f"{target!r} is not a port of the container -> set a port from 1 to 65535")
    if (len(inner) > 1 and len(outer) not in (1, len(inner))) or (
        len(inner) > 1 and len(outer) == 1 and 0 not in outer
    ):
        raise ValueError(f"{published} and {target} have different lengths -> make both ranges equally long")
    for index, port in enumerate(inner):
        yield Port(
            port, outer[min(index, len(outer) - 1)] if len(inner) > 1 else outer[0], protocol.lower(), address
        )


def _numbers(text: str) -> range:
    """Return the ports of a range."""
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not first <= last <= 65535:
        raise ValueError(f"{text!r} is not a port -> set a port from 1 to 65535")
    if last - first >= _MOST:
        raise ValueError(f"{text} are too many ports to open one by one -> use network_mode: host, or fewer")
    return range(first, last + 1)


def mounts(value: list[Any]) -> Iterator[Mount]:
    """Return the mounts of a service.

    Raises:
        ValueError: one of them has no source where it needs one.
    """
    for each in value:
        if isinstance(each, dict):
            kind, source = each.get("type", "volume"), each.get("source", "")
            if kind == "bind" and not source:
                raise ValueError(f"{each['target']} has an empty source -> set its variable in .env")
            inner = each.get("volume", {}).get("subpath", "")
            flow = each.get("bind", {}).get("propagation", "")
            yield Mount(kind, source, each["target"], each.get("read_only", False), inner, flow)
        else:
            yield _short_mount(each)


def _short_mount(text: str) -> Mount:
    source, *rest = text.split(":")
    if not rest:
        return Mount("volume", "", source)
    if not source:
        raise ValueError(f"{text!r} begins with an empty source -> set its variable in .env")
    target, options = rest[0], ",".join(rest[1:]).split(",")
    flow = next((each for each in options if each.lstrip("r") in ("shared", "slave", "private")), "")
    kind = "bind" if source.startswith((".", "/", "~")) else "volume"
    return Mount(kind, source, target, "ro" in options, propagation=flow)


_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def mebibytes(value: str) -> int:
    """Return a size, such as `64mb`, in MiB, at least 1.

    Raises:
        ValueError: it is not a size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)i?b?", value.strip().lower())
    if not match or len(match[1]) > 18:
        raise ValueError(f"{value!r} is not a size -> write it as 512m")
    return max(1, round(float(match[1]) * _UNITS[match[2]] / 2**20))


def seconds(value: str) -> int:
    """Return a duration, such as `1m30s`, in seconds; 0 if it is not one."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 0.0, "ns": 0.0}
    found = re.findall(r"(\d{1,9}(?:\.\d{1,9})?)(ms|us|ns|[hms])", value)
    return round(sum(float(number) * units[unit] for number, unit in found))
