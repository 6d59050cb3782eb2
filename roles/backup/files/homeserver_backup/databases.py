"""Copies SQLite databases that are in use."""

import contextlib
import multiprocessing
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from .files import open_regular
from .journal import log
from .restic import is_excludable

SQLITE_SECONDS = 60
COPY_SECONDS = 3600
# SQLITE_BUSY and SQLITE_LOCKED.
_SQLITE_LOCKED = (5, 6)


def databases(volume: Path) -> Iterator[Path]:
    """Find the SQLite databases of a volume."""
    for parent, _, names in os.walk(volume):
        for name in names:
            path = Path(parent, name)
            # The size of a page is a multiple of 512 bytes.
            with contextlib.suppress(OSError), open_regular(path) as file:
                size = os.fstat(file.fileno()).st_size
                if size and not size % 512 and file.read(16) == b"SQLite format 3\0":
                    yield path


def copy_databases(volume: Path, copy: Path) -> list[Path]:
    """Copy databases consistently, and return the files that the copies replace.

    A database that cannot be copied is saved as it is. A separate process reads the files, so that it can be
    stopped if reading a file blocks.
    """
    copied: list[Path] = []
    with multiprocessing.get_context("fork").Pool(1) as pool:
        for database in databases(volume):
            target = copy / database.relative_to(volume)
            try:
                pool.apply_async(copy_sqlite, (database, target)).get(COPY_SECONDS)
            except (sqlite3.Error, OSError, multiprocessing.TimeoutError) as error:
                why = (
                    str(error)
                    or f"it has not finished after {COPY_SECONDS} s, so the rest of its volume is not tried"
                )
                log(f"{database} is saved as it is, because it cannot be copied as a database: {why}")
                with contextlib.suppress(OSError):
                    target.unlink()
                if isinstance(error, multiprocessing.TimeoutError):
                    break
            else:
                copied += [database, *_companions(database)]
    return copied


def _companions(database: Path) -> list[Path]:
    return [database.with_name(f"{database.name}-{end}") for end in ("wal", "shm", "journal")]


def copy_sqlite(database: Path, copy: Path) -> None:
    """Copy a database that may be in use, with its owner and times."""
    for path in (database, *_companions(database)):
        if not is_excludable(path):
            raise OSError("restic cannot exclude its name")
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(path.lstat().st_mode):
                raise OSError(f"{path.name} is not a file")
    copy.parent.mkdir(parents=True, exist_ok=True)
    about = database.stat()
    source = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=SQLITE_SECONDS)
    with contextlib.closing(source), contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target, progress=_stop_if_locked)
        # The copy needs no companions. A program that uses a write-ahead log creates them itself.
        target.execute("PRAGMA journal_mode = DELETE")
    shutil.copystat(database, copy)
    os.chown(copy, about.st_uid, about.st_gid)


def _stop_if_locked(status: int, remaining: int, total: int) -> None:  # noqa: ARG001
    """Stop a copy that has waited for a lock. SQLite itself would wait forever."""
    if status in _SQLITE_LOCKED:
        raise sqlite3.OperationalError(f"it was locked for {SQLITE_SECONDS} s")
