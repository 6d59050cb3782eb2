"""Fills the directories of volumes from a backup, and records which are filled in case of an interruption.

The contents of volumes and backups are untrusted: symbolic links in them are never followed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .restic import (
    Repository,
    ResticError,
    Save,
)

STORAGE = Path("/var/snap/microk8s/common/default-storage")
"""The parent directory of MicroK8s' volumes."""
DIRECTORY = Path("/var/lib/homeserver-backup")
"""The directory with copies of files that must not be saved while in use."""
MARKER = "restoring"
"""The name of the file in it that records an unfinished restore."""

_SCRATCH = ".homeserver-restore"
_ASIDE = "aside"
_BESIDE_DATABASE = ("-journal", "-shm", "-wal")
"""Files that SQLite has next to a database in use. They are not part of a copy."""


@dataclass(frozen=True)
class Volume:
    """A volume to fill.

    Attributes:
        name: its name when it was saved.
        claim: its claim, as namespace/name.
        source: its directory when it was saved.
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
    """The record of a restore, which exists until the restore has finished."""

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
        """Record that a backup is being restored."""
        if self.read().get("save") != save:
            self._write({"save": save, "filled": []})

    def note(self, claim: str) -> None:
        """Record that a volume is filled."""
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
    seconds, file = max(_changes(volume.path), default=(0.0, ""))
    return Newer(volume.claim, file, seconds) if seconds > save.seconds else None


def _changes(directory: str) -> Iterator[tuple[float, str]]:
    """Yield each file's modification time and path."""
    if not os.path.lexists(directory):
        return
    for parent, _, names, opened in os.fwalk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                about = os.stat(name, dir_fd=opened, follow_symlinks=False)
                yield about.st_mtime, str(Path(parent, name))


def fill(repository: Repository, save: Save, volume: Volume, directory: Path = DIRECTORY) -> list[str]:
    """Replace the content of a volume with the backup, once the backup has been read completely.

    Returns:
        The paths that were not restored, because they conflicted with a copy that was made for the backup, or
        are links in a copy.

    Raises:
        ResticError: not everything could be read, or there is a link instead of a directory.
    """
    target = Path(volume.path)
    scratch = target.parent / _SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700, parents=True)
    (scratch / _ASIDE).mkdir()
    copies = directory / "volumes" / volume.name
    repository.restore(save, [volume.source, str(copies)], scratch)
    made = scratch / volume.source.lstrip("/")
    if not os.path.lexists(made):  # the volume only had copies
        made.mkdir(parents=True)
        made.chmod(0o777)
    left_out = []
    with _opened(made) as place, _opened(scratch / _ASIDE) as aside:
        copied = scratch / str(copies).lstrip("/")
        if os.path.lexists(copied):
            with _opened(copied) as copy:
                overlay = _Overlay(aside)
                overlay.lay(copy, place, "")
                left_out = overlay.left_out
    if os.path.lexists(target):
        target.rename(scratch / "replaced")
    made.rename(target)
    shutil.rmtree(scratch)
    return left_out


@contextlib.contextmanager
def _opened(path: str | Path, within: int | None = None) -> Iterator[int]:
    """Open a directory, not a link to one.

    Raises:
        ResticError: it is something else.
    """
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    except NotADirectoryError:
        raise ResticError(
            f"the backup does not have a directory at {path} -> restore an older one: -e at=<date>"
        ) from None
    try:
        yield directory
    finally:
        os.close(directory)


@dataclass
class _Overlay:
    """Replaces files that were saved while in use with the copies that were made for the backup.

    Attributes:
        aside: the directory for conflicting files.
        left_out: the paths in the volume of these files, and of links among the copies.
    """

    aside: int
    left_out: list[str] = field(default_factory=list)

    def lay(self, copies: int, made: int, below: str) -> None:
        """Move the content of one directory to another."""
        for name in sorted(os.listdir(copies)):
            path = f"{below}{name}"
            mode = os.stat(name, dir_fd=copies, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                with _opened(name, copies) as copy:
                    self._make_directory(name, os.fstat(copy), made, path)
                    with _opened(name, made) as place:
                        self.lay(copy, place, f"{path}/")
            elif stat.S_ISREG(mode):
                for ending in _BESIDE_DATABASE:
                    with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                        os.unlink(name + ending, dir_fd=made)
                if _is_directory(name, made):
                    self._put_aside(name, made, path)
                os.replace(name, name, src_dir_fd=copies, dst_dir_fd=made)
            else:
                self.left_out.append(path)

    def _make_directory(self, name: str, like: os.stat_result, made: int, path: str) -> None:
        """Create a directory of the copies, with its owner and mode, unless there is one."""
        if _is_directory(name, made):
            return
        with contextlib.suppress(FileNotFoundError):
            self._put_aside(name, made, path)
        os.mkdir(name, dir_fd=made)
        with _opened(name, made) as place:
            os.fchown(place, like.st_uid, like.st_gid)
            os.fchmod(place, like.st_mode & 0o7777)

    def _put_aside(self, name: str, made: int, path: str) -> None:
        os.rename(name, str(len(self.left_out)), src_dir_fd=made, dst_dir_fd=self.aside)
        self.left_out.append(path)


def _is_directory(name: str, within: int) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False
