"""Copies the data of a running Prometheus."""

import contextlib
import os
import re
import shutil
from pathlib import Path

from .errors import BackupError
from .files import is_file_or_directory, open_regular

ATTEMPTS = 5


def copy_prometheus(volume: Path, copy: Path) -> None:
    """Copy Prometheus' data while it runs.

    The newest data comes first. If Prometheus moves data meanwhile, the copy contains it twice, not never.
    """
    irregular = [
        path
        for parent, folders, names in os.walk(volume)
        for path in (Path(parent, name) for name in (*folders, *names))
        if not is_file_or_directory(path)
    ]
    for root in sorted(Path(parent) for parent, folders, _ in os.walk(volume) if "wal" in folders):
        beside = copy / root.relative_to(volume)
        for name in ("wal", "chunks_head"):
            if (root / name).is_dir():
                _copy_tree(root / name, beside / name)
        _link_blocks(root, beside)
    _copy_owners(volume, copy)
    if irregular:
        few = ", ".join(map(str, irregular[:5]))
        raise BackupError(
            f"{len(irregular)} entries are neither files nor directories, all others are saved: {few}"
            " -> remove them"
        )


def _irregular(directory: str, names: list[str]) -> list[str]:
    """Return the names that are left out of a copy of a directory."""
    return [name for name in names if not is_file_or_directory(Path(directory, name))]


def _copy_tree(source: Path, target: Path) -> None:
    """Copy a directory, and start again if files are removed meanwhile."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=_irregular, copy_function=_copy_file)
        except (shutil.Error, FileNotFoundError) as error:
            if attempt == ATTEMPTS:
                raise BackupError(f"{source} changed in each of {ATTEMPTS} attempts: {error}") from None
        else:
            return


def _copy_file(source: str, target: str) -> str:
    with open_regular(Path(source)) as file, Path(target).open("wb") as copy:
        shutil.copyfileobj(file, copy, 2**20)
    shutil.copystat(source, target)
    return target


def _blocks(root: Path) -> list[Path]:
    return sorted(
        path for path in root.iterdir() if re.fullmatch(r"[0-9A-Z]{26}", path.name) and path.is_dir()
    )


def _link_blocks(root: Path, beside: Path) -> None:
    """Link the files of all blocks, which never change, and repeat until the set of blocks is stable."""
    for _ in range(ATTEMPTS):
        found = _blocks(root)
        for block in found:
            with contextlib.suppress(shutil.Error, FileNotFoundError):
                if not (beside / block.name).exists():
                    shutil.copytree(block, beside / block.name, ignore=_irregular, copy_function=_link_file)
        there = {block.name for block in _blocks(root)}
        for block in _blocks(beside) if beside.exists() else []:
            if block.name not in there:
                shutil.rmtree(block)
        if there == {block.name for block in found}:
            return
    raise BackupError(f"the blocks in {root} changed in each of {ATTEMPTS} attempts")


def _link_file(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # on another disk
        return _copy_file(source, target)
    if not is_file_or_directory(Path(target)):  # it was replaced a moment ago
        Path(target).unlink()
        raise OSError(f"{source} is not a file")
    return target


def _copy_owners(source: Path, copy: Path) -> None:
    """Give the copies the owners of the originals."""
    for parent, folders, files in os.walk(copy):
        for path in (Path(parent), *(Path(parent, name) for name in (*folders, *files))):
            origin = source / path.relative_to(copy)
            with contextlib.suppress(FileNotFoundError):
                about = origin.lstat()
                os.chown(path, about.st_uid, about.st_gid, follow_symlinks=False)
