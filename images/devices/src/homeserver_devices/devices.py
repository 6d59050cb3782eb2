"""Looks for the device nodes of a machine."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_LINKS = 8
"""How many links are followed at most."""


@dataclass(frozen=True)
class Device:
    """A device that apps ask for.

    Attributes:
        name: The name of its resource, without the domain.
        path: Its path on the machine: a node, a link to one, or a directory of nodes.
        inside: Its path in the containers.
    """

    name: str
    path: str
    inside: str

    @property
    def is_serial_port(self) -> bool:
        """Whether it is a serial port, which has one user at a time."""
        return self.path.startswith(("/dev/tty", "/dev/serial/"))


@dataclass(frozen=True)
class Node:
    """A device node.

    Attributes:
        path: Its path on the machine.
        inside: Its path in the containers.
    """

    path: str
    inside: str


def nodes(device: Device, dev: Path) -> list[Node]:
    """Return the nodes of a device that the machine has now, none if it is missing.

    Only character devices count. A block device would be a disk with all its files.

    Args:
        device: The device.
        dev: Where the machine's /dev is mounted.
    """
    found = _followed(PurePosixPath(device.path), dev)
    if found is None:
        return []
    here = _here(found, dev)
    if not here.is_dir():
        return [Node(str(found), device.inside)] if _is_character_device(here) else []
    below = sorted(each.relative_to(here) for each in _walk(here) if _is_character_device(each))
    return [Node(f"{found}/{each}", f"{device.inside}/{each}") for each in below]


def _followed(path: PurePosixPath, dev: Path) -> PurePosixPath | None:
    """Follow links of the machine; None if they lead out of /dev, or nowhere."""
    for _ in range(_LINKS):
        if not path.is_relative_to("/dev") or ".." in path.parts:
            return None
        here = _here(path, dev)
        if not here.is_symlink():
            return path
        path = PurePosixPath(os.path.normpath(path.parent / here.readlink()))
    return None


def _here(path: PurePosixPath, dev: Path) -> Path:
    return dev / path.relative_to("/dev")


def _walk(directory: Path) -> Iterator[Path]:
    for folder, _, files in os.walk(directory):
        yield from (Path(folder) / name for name in files)


def _is_character_device(path: Path) -> bool:
    try:
        return stat.S_ISCHR(path.lstat().st_mode)
    except OSError:
        return False
