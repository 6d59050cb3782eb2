"""Reads and writes files safely, because those of apps may be hostile."""

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .errors import BackupError

_LIBC, _long = ctypes.CDLL(None, use_errno=True), ctypes.c_long
_CLONE_NEWNS = 0x20000
_MS_BIND, _MS_REC, _MS_SLAVE = 0x1000, 0x4000, 0x80000
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000
_MOUNT_ATTR_NOSYMFOLLOW = 0x200000


@contextlib.contextmanager
def symlinks_refused(directory: Path) -> Iterator[None]:
    """Prevent this process and its children from following symbolic links below a directory.

    An app may replace a directory with a link at any moment, even while SQLite or restic reads it. So the
    kernel refuses links, in a mount that only these processes see.
    """
    if not directory.is_dir():
        yield
        return
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    before = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY)
    try:
        _mount_without_links(os.fsencode(directory))
        yield
    finally:
        _LIBC.setns(before, _CLONE_NEWNS)
        os.fchdir(here)
        os.close(before)
        os.close(here)


def _mount_without_links(place: bytes) -> None:
    attributes = struct.pack("QQQQ", _MOUNT_ATTR_NOSYMFOLLOW, 0, 0, 0)
    asked = (_SYS_MOUNT_SETATTR, _AT_FDCWD, place, _AT_RECURSIVE, attributes, len(attributes))
    if (
        _LIBC.unshare(_CLONE_NEWNS)
        or _LIBC.mount(None, b"/", None, _long(_MS_SLAVE | _MS_REC), None)
        or _LIBC.mount(place, place, None, _long(_MS_BIND | _MS_REC), None)
        or _LIBC.syscall(*(_long(each) if isinstance(each, int) else each for each in asked))
    ):
        raise BackupError(
            f"links of apps could lead out of {os.fsdecode(place)}, so nothing is read there:"
            f" {os.strerror(ctypes.get_errno())} -> run it as root, on Linux 5.14 or later"
        )


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file for reading. Others, which might block, are refused.

    Raises:
        OSError: It does not exist, or is not a regular file.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{path} is not a file")
    return file


def is_file_or_directory(path: Path) -> bool:
    """Return whether a path is a file, a directory or missing."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return True
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)
