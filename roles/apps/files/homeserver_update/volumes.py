"""Copies the directories of volumes, and brings the copies back."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .errors import UpdateError

GIB = 2**30
_ADVICE = "free some space, or update it by hand"


def check_room(volumes: Sequence[Path]) -> None:
    """Check that the disk has room for a copy of each volume.

    Raises:
        UpdateError: it has not.
    """
    if not volumes:
        return
    size = 1024 * sum(
        int(line.split()[0])
        for line in _run("du", "--summarize", "--block-size=1024", "--", *map(str, volumes)).splitlines()
    )
    free = shutil.disk_usage(volumes[0].parent).free
    if size + GIB > free:
        raise UpdateError(
            f"a copy of its volumes needs {size / GIB + 1:.1f} GiB, and {free / GIB:.1f} GiB are free"
            f" -> {_ADVICE}"
        )


def copy(volume: Path, copies: Path) -> None:
    """Copy a volume. The copy only gets its name when it is complete.

    Raises:
        UpdateError: it cannot be copied.
    """
    target, partial = _places(volume, copies)
    shutil.rmtree(partial, ignore_errors=True)
    copies.mkdir(mode=0o700, exist_ok=True)
    _run("cp", "--archive", "--reflink=auto", "--no-target-directory", "--", str(volume), str(partial))
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


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " / ".join(done.stderr.strip().splitlines()[-3:])
        raise UpdateError(f"{command[0]} failed: {said} -> {_ADVICE}")
    return done.stdout
