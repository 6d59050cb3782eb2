"""Copies the directories of volumes, and brings the copies back.

The program of updates has this file as well.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

GIB = 2**30


class CopyError(Exception):
    """A directory cannot be copied. The message also says how to fix it."""


def size(directories: Sequence[Path]) -> int:
    """Return the bytes that directories take on their disk. Files that are removed meanwhile do not count."""
    if not directories:
        return 0
    command = ["du", "--summarize", "--block-size=1024", "--", *map(str, directories)]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return 1024 * sum(int(line.split()[0]) for line in told.splitlines())


def check_room(volumes: Sequence[Path]) -> None:
    """Check that the disk has room for a copy of each volume.

    Raises:
        CopyError: it has not.
    """
    if not volumes:
        return
    needed, free = size(volumes) + GIB, shutil.disk_usage(volumes[0].parent).free
    if needed > free:
        raise CopyError(
            f"a copy of its volumes needs {needed / GIB:.1f} GiB, and {free / GIB:.1f} GiB are free"
            " -> free some space"
        )


def copy_directory(source: Path, target: Path) -> None:
    """Copy a directory, with owners, modes, links and times; on some file systems the copy takes no space.

    Raises:
        CopyError: it cannot be copied.
    """
    _run("cp", "--archive", "--reflink=auto", "--no-target-directory", "--", str(source), str(target))


def copy(volume: Path, copies: Path) -> None:
    """Copy a volume. The copy only gets its name when it is complete.

    Raises:
        CopyError: it cannot be copied.
    """
    target, partial = _places(volume, copies)
    shutil.rmtree(partial, ignore_errors=True)
    copies.mkdir(mode=0o700, exist_ok=True)
    copy_directory(volume, partial)
    # After a power cut, the name must not be there without the files.
    _run("sync", "--file-system", str(partial))
    partial.rename(target)
    sync(copies)


def bring_back(volume: Path, copies: Path) -> None:
    """Replace a volume with its copy; a repetition after an interruption continues."""
    target, failed = _places(volume, copies)
    if target.exists():
        if volume.exists():
            shutil.rmtree(failed, ignore_errors=True)
            volume.rename(failed)
        target.rename(volume)
        sync(copies)
        sync(volume.parent)
    shutil.rmtree(failed, ignore_errors=True)


def remove(copies: Path) -> None:
    """Remove all copies."""
    shutil.rmtree(copies, ignore_errors=True)


def remove_of(volumes: Sequence[Path], copies: Path) -> bool:
    """Remove the copies of these volumes, and return whether there were any."""
    there = [place for volume in volumes for place in _places(volume, copies) if place.exists()]
    for place in there:
        shutil.rmtree(place)
    with contextlib.suppress(OSError):  # it has others, or is not there
        copies.rmdir()
    return bool(there)


def sync(directory: Path) -> None:
    """Write the names in a directory to the disk."""
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _places(volume: Path, copies: Path) -> tuple[Path, Path]:
    """Return the place of a volume's copy, and another one beside it."""
    return copies / volume.name, copies / f"{volume.name}.partial"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " / ".join(done.stderr.strip().splitlines()[-3:])
        raise CopyError(f"{command[0]} failed: {said}")
