"""Moves directories into volumes, and back.

A copy is complete and compared before it replaces the content of a volume, which is then kept beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from .volume_copies import CopyError, copy_directory, size

KEPT = ".homeserver-moved"
"""The directory beside the volumes with what they had before. Backups leave it out."""
_CONTENT, _COPY, _RECORD = "content", "copy", "record.json"
_COMPARED_ATTRIBUTES = ("user.", "system.posix_acl", "security.capability")
_CHUNK = 2**20  # bytes
_RESERVE = 0.05  # share of the disk that stays free
_SHOWN = 5


class MoveError(Exception):
    """A directory cannot be moved into a volume."""


class Volume(NamedTuple):
    """A volume, and the directory that is copied into it."""

    claim: str
    path: Path
    source: Path

    @property
    def kept(self) -> Path:
        """The directory with what the volume had before, and the record."""
        return self.path.parent / KEPT / self.path.name


class Entry(NamedTuple):
    """What a copy of a file or directory must have in common with it."""

    mode: int
    user: int
    group: int
    content: str
    """Checksum, target of a link, or number of a device."""
    attributes: tuple[tuple[str, bytes], ...]
    first_link: str
    """The first path of the same file."""


def found(candidates: Iterable[str]) -> Path | None:
    """Return the first of these paths that is a directory, with its links resolved."""
    return next((Path(os.path.realpath(each)) for each in candidates if os.path.isdir(each)), None)  # noqa: PTH112


def record(volume: Volume) -> dict[str, Any]:
    """Return from where and when a volume was filled; {} if it was not."""
    try:
        content: dict[str, Any] = json.loads((volume.kept / _RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return content


def entries(root: Path) -> dict[str, Entry]:
    """Return all files and directories of a directory by their path in it, and itself as `.`.

    Raises:
        OSError: one of them cannot be read.
    """
    links: dict[tuple[int, int], str] = {}
    listed = {".": _entry(root, ".", links)}
    for parent, directories, files in os.walk(root, onerror=_raise):
        directories.sort()
        for name in sorted([*directories, *files]):
            path = Path(parent, name)
            relative = str(path.relative_to(root))
            listed[relative] = _entry(path, relative, links)
    return listed


def _raise(error: OSError) -> None:
    raise error


def _entry(path: Path, relative: str, links: dict[tuple[int, int], str]) -> Entry:
    about = path.lstat()
    content = ""
    if stat.S_ISREG(about.st_mode):
        content = f"{about.st_size} {int(about.st_mtime)} {_checksum(path)}"
    elif stat.S_ISLNK(about.st_mode):
        content = os.readlink(path)  # noqa: PTH115 (as it is)
    elif not stat.S_ISDIR(about.st_mode):
        content = str(about.st_rdev)
    first = "" if stat.S_ISDIR(about.st_mode) else links.setdefault((about.st_dev, about.st_ino), relative)
    return Entry(about.st_mode, about.st_uid, about.st_gid, content, _attributes(path), first)


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _attributes(path: Path) -> tuple[tuple[str, bytes], ...]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:  # its file system has none
        return ()
    kept = sorted(name for name in names if name.startswith(_COMPARED_ATTRIBUTES))
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in kept)


def problems(volumes: Iterable[Volume], *, replace: bool) -> list[str]:
    """Return why directories cannot be moved into volumes; nothing is changed."""
    wanted = list(volumes)
    wrong = [
        f"{each.claim}: its volume {each.path} is not there -> start its app once: site.yml"
        for each in wanted
        if not each.path.is_dir() and not (each.kept / _CONTENT).exists()
    ]
    there = [each for each in wanted if each.path.is_dir() and not (each.kept / _CONTENT).exists()]
    if not replace:
        wrong += [
            f"{each.claim} has content already, such as {names[0]}, maybe from the first start of its app"
            " -> to replace it, which keeps it aside: -e replace=true"
            for each in there
            if (names := sorted(path.name for path in each.path.iterdir() if path.name != "lost+found"))
        ]
    wrong += [
        f"{each.claim}: {each.source} is in the volumes of the home server -> name a directory elsewhere"
        for each in there
        if each.source.is_relative_to(each.path.parent) or each.path.is_relative_to(each.source)
    ]
    return wrong or _lack_of_space(wanted)


def _lack_of_space(volumes: list[Volume]) -> list[str]:
    if not volumes:
        return []
    needed = size([each.source for each in volumes])
    disk = shutil.disk_usage(volumes[0].path.parent)
    left = disk.free - int(disk.total * _RESERVE)
    if needed <= left:
        return []
    return [
        f"the data need {needed / 2**30:.1f} GiB, and {max(left, 0) / 2**30:.1f} GiB of"
        f" {volumes[0].path.parent} may be used, of which 5 % stay free -> make room"
    ]


def move(volumes: Iterable[Volume]) -> int:
    """Copy each directory into its volume, all or none, and return the number of files and directories.

    Raises:
        MoveError: a copy is not complete; the volumes are as before.
    """
    wanted = list(volumes)
    count = 0
    try:
        for volume in wanted:
            _recover(volume)
            count += _copy(volume)
    except (MoveError, CopyError, OSError) as error:
        for volume in wanted:
            shutil.rmtree(volume.kept, ignore_errors=True)
        raise MoveError(f"the copy is not complete, and was removed: {error}") from None
    os.sync()
    for volume in wanted:
        volume.path.rename(volume.kept / _CONTENT)
        (volume.kept / _COPY).rename(volume.path)
        _write_record(volume)
    os.sync()
    return count


def _recover(volume: Volume) -> None:
    """Undo the changes of an interrupted run."""
    if (volume.kept / _CONTENT).exists():
        put_back([volume])
    shutil.rmtree(volume.kept, ignore_errors=True)


def _copy(volume: Volume) -> int:
    volume.kept.parent.mkdir(mode=0o700, exist_ok=True)
    volume.kept.mkdir(mode=0o700)
    copy = volume.kept / _COPY
    copy_directory(volume.source, copy)
    original, made = entries(volume.source), entries(copy)
    if original != made:
        names = [name for name in sorted({*original, *made}) if original.get(name) != made.get(name)]
        raise MoveError(
            f"{volume.source} changes while it is copied: {', '.join(names[:_SHOWN])}"
            " -> stop all that writes to it, and run the same again"
        )
    return len(made)


def _write_record(volume: Volume) -> None:
    content = {"from": str(volume.source), "time": time.strftime("%Y-%m-%d %H:%M")}
    (volume.kept / _RECORD).write_text(json.dumps(content))


def put_back(volumes: Iterable[Volume]) -> list[str]:
    """Give volumes the content that they had before, and return the claims of those that were moved."""
    back = []
    for volume in volumes:
        content = volume.kept / _CONTENT
        if not content.exists():
            continue
        if volume.path.exists():
            volume.path.rename(volume.kept / "undone")
        content.rename(volume.path)
        shutil.rmtree(volume.kept)
        back.append(volume.claim)
    os.sync()
    return back
