"""The devices of servers that apps use, as resources of Kubernetes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

App = Mapping[str, Any]

_DOMAIN = "homeserver.stack"
_NVIDIA = "nvidia.com/gpu"
_CARDS = {"intel": "/dev/dri", "amd": "/dev/dri"}
_PLAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,48}[A-Za-z0-9])?")
_LONGEST = 40  # characters of a name before its hash


class Device(NamedTuple):
    """A device that apps ask for.

    Attributes:
        name: the name of its resource, without the domain.
        path: its path on the server.
        inside: its path in the app.
    """

    name: str
    path: str
    inside: str


def devices(app: App) -> list[Device]:
    """Return the devices that our plugin gives to an app, each once; the entry need not be complete."""
    card = _CARDS.get(app.get("gpu") or "")
    given = [*app.get("devices", []), *([card] if card else [])]
    return list(dict.fromkeys(map(_device, given)))


def _device(given: str) -> Device:
    path, _, inside = given.partition(":")
    inside = inside or path
    plain = path.removeprefix("/dev/").replace("/", "_")
    if inside != path or plain != path.removeprefix("/dev/") or not _PLAIN.fullmatch(plain):
        # A resource has a name of 63 characters at most, without slashes.
        short = re.sub(r"[^A-Za-z0-9-]", "-", plain)[:_LONGEST].strip("-") or "device"
        plain = f"{short}-{hashlib.sha256(':'.join((path, inside)).encode()).hexdigest()[:8]}"
    return Device(plain, path, inside)


def resources(app: App) -> dict[str, str]:
    """Return the resources that an app asks for, each with what an owner calls it."""
    found = {f"{_DOMAIN}/{device.name}": device.path for device in devices(app)}
    return found | ({_NVIDIA: "an NVIDIA graphics card"} if app.get("gpu") == "nvidia" else {})


def wanted(apps: Iterable[App]) -> list[dict[str, str]]:
    """Return the devices that our plugin serves to apps, each once and in a fixed order."""
    found = sorted({device for app in apps for device in devices(app)})
    return [device._asdict() for device in found]


def serial_ports(app: App) -> Iterator[str]:
    """Return the devices of an app that only one program at a time can use."""
    for device in devices(app):
        if device.path.startswith(("/dev/tty", "/dev/serial/")):
            yield device.path
