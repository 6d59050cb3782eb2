"""Fills the directories of volumes from a backup, and remembers which are filled if that is interrupted."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .restic import Repository, Save

STORAGE = Path("/var/snap/microk8s/common/default-storage")
"""Where MicroK8s has the directory of each volume."""
DIRECTORY = Path("/var/lib/homeserver-backup")
"""Where a backup finds what may not be copied while it is in use."""
MARKER = "restoring"
"""The name of the file in there that tells of a restore that is not finished."""

_SCRATCH = ".homeserver-restore"
_BESIDE_DATABASE = ("-journal", "-shm", "-wal")
"""What SQLite has beside a database in use; it does not belong to a copy of it."""


@dataclass(frozen=True)
class Volume:
    """A volume to fill.

    Attributes:
        name: what it was called when it was saved.
        claim: whose it is, as namespace/name.
        source: its directory at that time.
        path: its directory now.
    """

    name: str
    claim: str
    source: str
    path: str


@dataclass(frozen=True)
class Newer:
    """A file of a volume that was changed after the backup."""

    claim: str
    file: str
    seconds: float


class Progress:
    """The record of a restore, which is there until it is finished."""

    def __init__(self, directory: Path = DIRECTORY) -> None:
        self._file = directory / MARKER

    def read(self) -> dict[str, Any]:
        """Return which `save` is being restored, and the claims whose volumes are `filled`; {} if none is."""
        try:
            found: dict[str, Any] = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return found

    def begin(self, save: str) -> None:
        """Note that a backup is being restored."""
        if self.read().get("save") != save:
            self._write({"save": save, "filled": []})

    def note(self, claim: str) -> None:
        """Note that a volume is filled."""
        record = self.read()
        self._write({**record, "filled": [*record.get("filled", []), claim]})

    def _write(self, record: dict[str, Any]) -> None:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self._file.with_suffix(".new")
        with beside.open("w") as file:
            json.dump(record, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._file)


def newer(volume: Volume, save: Save) -> Newer | None:
    """Return the last changed file of a volume, if it was changed after a backup was made."""
    files = ((path.lstat().st_mtime, str(path)) for path in _files(Path(volume.path)))
    seconds, file = max(files, default=(0.0, ""))
    return Newer(volume.claim, file, seconds) if seconds > save.seconds else None


def _files(directory: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(directory):
        yield from (Path(parent, name) for name in names)


def fill(repository: Repository, save: Save, volume: Volume, directory: Path = DIRECTORY) -> None:
    """Replace what a volume has by what was saved. Before it is complete, the volume is not touched.

    Raises:
        ResticError: not everything could be read.
    """
    target = Path(volume.path)
    scratch = target.parent / _SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700, parents=True)
    copies = directory / "volumes" / volume.name
    repository.restore(save, [volume.source, str(copies)], scratch)
    made = scratch / volume.source.lstrip("/")
    if not made.is_dir():  # all of it was a copy
        made.mkdir(parents=True)
        made.chmod(0o777)
    _lay_over(scratch / str(copies).lstrip("/"), made)
    if target.exists():
        target.rename(scratch / "replaced")
    made.rename(target)
    shutil.rmtree(scratch)


def _lay_over(copies: Path, made: Path) -> None:
    """Put copies that were made to be saved in the place of what was copied while it was in use."""
    for copy in sorted(_files(copies)):
        place = made / copy.relative_to(copies)
        for ending in _BESIDE_DATABASE:
            place.with_name(place.name + ending).unlink(missing_ok=True)
        _make_parents(copies, made, place.parent)
        copy.replace(place)
    for parent, names, _ in os.walk(copies):
        for name in names:
            _make_parents(copies, made, made / Path(parent, name).relative_to(copies))


def _make_parents(copies: Path, made: Path, directory: Path) -> None:
    """Create a directory of the copies, with its owner and mode."""
    if directory.exists():
        return
    _make_parents(copies, made, directory.parent)
    like = (copies / directory.relative_to(made)).stat()
    directory.mkdir()
    os.chown(directory, like.st_uid, like.st_gid)
    directory.chmod(like.st_mode & 0o7777)
