"""Translates the devices of a service, and its graphics card."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from .errors import Remarks
from .project import Service
from .syntax import mounts

Entry = dict[str, Any]
_PATH = re.compile(r"(/(?!\.\.?(/|$))[^/:\s]+)+")
_NVIDIA = re.compile(r"/dev/nvidia[\w-]*(/.*)?")
_CDI = re.compile(r"nvidia\.com/gpu=.*")
# Parts of a Raspberry Pi, which files for all machines name beside those of a PC.
_OF_BOARDS = re.compile(r"/dev/(vchiq|vcsm(-cma)?|video1\d)")
# Disks, also those that are asked by commands.
_DISK = re.compile(
    r"/dev/(([shv]d[a-z]|xvd|nvme|mmcblk|md|dm-|loop|zd|sg|sr|bsg)\w*|mapper|disk|cdrom)(/.*)?"
)
_MEMORY = re.compile(r"/dev/(mem|kmem|port)")
_NOT_DEVICES = re.compile(r"/dev/(shm|mqueue|hugepages|pts|fd|null|zero|u?random|std\w+|tty)(/.*)?")
_FIX = "docs/apps.md#devices"


class _Wanted(NamedTuple):
    key: str
    """The key of the compose file that it is from."""
    path: str
    inside: str


def is_device(path: str) -> bool:
    """Return whether a mount of this path is that of a device."""
    return path.startswith("/dev/") and not _NOT_DEVICES.fullmatch(path)


def devices(key: str, service: Service, remarks: Remarks) -> Entry:
    """Return the keys of an entry about devices.

    Args:
        key: the name of the service.
        service: the service.
        remarks: takes the differences.
    """
    found: dict[str, None] = {}
    cards = list(_cards(service))
    for wanted in (*_named(service), *_mounted(service)):
        if _NVIDIA.fullmatch(wanted.path) or _CDI.fullmatch(wanted.path):
            cards.append(wanted.key)
        elif reason := _reason_not_to(wanted):
            remarks.refuse(key, wanted.key, f"{wanted.path}: {reason}")
        elif _OF_BOARDS.fullmatch(wanted.path):
            text = (
                f"{wanted.path} is left out, because few servers have it -> add it to the app if yours has it"
            )
            remarks.change(key, wanted.key, text)
        elif not _NOT_DEVICES.fullmatch(wanted.path):
            text = (
                f"{wanted.path}: the app waits while no server has it -> remove it if the app can do without"
            )
            remarks.change(key, wanted.key, text)
            same = wanted.path == wanted.inside
            found[wanted.path if same else f"{wanted.path}:{wanted.inside}"] = None
    for name in dict.fromkeys(cards):
        text = "it gets a graphics card of NVIDIA for itself, and waits for it -> enable the addon first"
        remarks.change(key, name, f"{text}: {_FIX}")
    return ({"devices": list(found)} if found else {}) | ({"gpu": "nvidia"} if cards else {})


def _reason_not_to(wanted: _Wanted) -> str:
    if _DISK.fullmatch(wanted.path) or _MEMORY.fullmatch(wanted.path):
        return "it has all that the server has -> use directories of the server, or leave out the service"
    if not wanted.path.startswith("/dev/") or not all(map(_PATH.fullmatch, (wanted.path, wanted.inside))):
        return f"it is no device below /dev -> name each device that it needs: {_FIX}"
    return ""


def _named(service: Service) -> Iterator[_Wanted]:
    for each in service.get("devices", []):
        if isinstance(each, dict):
            path, inside = each.get("source", ""), each.get("target", "")
        elif _CDI.fullmatch(each):
            path, inside = each, ""
        else:
            path, inside = [*each.split(":"), ""][:2]
        yield _Wanted("devices", _plain(path), _plain(inside or path))


def _mounted(service: Service) -> Iterator[_Wanted]:
    with suppress(ValueError):  # another check reports it
        for mount in mounts(service.get("volumes", [])):
            if mount.kind == "bind" and is_device(_plain(mount.source)):
                yield _Wanted("volumes", _plain(mount.source), _plain(mount.target))


def _plain(path: str) -> str:
    return str(PurePosixPath(path))


def _cards(service: Service) -> Iterator[str]:
    """Return the keys by which a service asks for a graphics card of NVIDIA."""
    if service.get("runtime") == "nvidia":
        yield "runtime"
    gpus = service.get("gpus")
    if gpus == "all" or (isinstance(gpus, list) and any(map(_is_nvidia, gpus))):
        yield "gpus"
    if any(
        map(
            _is_nvidia,
            service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", []),
        )
    ):
        yield "deploy"


def _is_nvidia(wanted: Any) -> bool:
    """Return whether a reservation is of a graphics card: without a driver, Docker takes that of NVIDIA."""
    if not isinstance(wanted, dict):
        return False
    kinds = wanted.get("capabilities")
    usual = "nvidia" if isinstance(kinds, list) and "gpu" in kinds else ""
    return bool(wanted.get("driver", usual) == "nvidia")
