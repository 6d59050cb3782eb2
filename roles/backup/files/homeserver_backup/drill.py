"""Restores the newest copy, and compares it with the current files."""

import contextlib
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from .errors import BackupError
from .files import is_file_or_directory, open_regular, symlinks_refused
from .journal import log
from .repositories import open_or_init
from .restic import as_printed, escape_pattern
from .settings import TAG, Object, Repository, Settings
from .state import State

GIB = 2**30
# Files by path and size. Two files may have the same printed path.
Files = Counter[tuple[str, int]]


def drill(settings: Settings, state: State) -> list[str]:
    """Restore the newest copy from the first repository, and compare it with the current files."""
    repository = settings.repositories[0]
    scratch = settings.directory.with_name(f"{settings.directory.name}-drill")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    found = Comparison()
    try:
        restic = open_or_init(settings, repository, state)
        newest = ("latest", "--host", settings.host, "--tag", TAG)
        listed = [json.loads(line) for line in restic.run("ls", "--json", *newest).stdout.splitlines()]
        nodes = [about for about in listed if about.get("struct_type") == "node"]
        _check_complete(nodes, partial(restic.run, "dump", *newest), settings, repository)
        for part, files in group_files(nodes, settings).items():
            _check_room(sum(size * count for (_, size), count in files.items()), scratch)
            restic.run("restore", *newest, "--target", str(scratch), "--include", escape_pattern(part))
            with symlinks_refused(settings.volumes):
                found.compare(scratch, files)
            for inner in scratch.iterdir():
                shutil.rmtree(inner)
        _check_result(found, repository)
    except BackupError as error:
        state.failed(repository.name, "drill", str(error))
        return [str(error)]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    state.succeeded(repository.name, "drill", drill=time.time())
    log(
        f"repository {repository.name}: restored {found.files} files, {found.same} match the current ones,"
        f" {found.changed} have changed since"
    )
    return []


def _check_complete(
    nodes: Iterable[Object],
    dump: Callable[[str], subprocess.CompletedProcess[str]],
    settings: Settings,
    repository: Repository,
) -> None:
    """Compare the volumes and databases in a copy with its list of expected ones.

    Raises:
        BackupError: The copy lacks some, or lacks the list.
    """
    there = {about["path"] for about in nodes if about["type"] in ("dir", "file")}
    if str(settings.expected) not in there:
        raise BackupError(
            f"repository {repository.name}: the newest copy lacks the list of its contents -> save again"
        )
    expected = json.loads(dump(str(settings.expected)).stdout)
    if lacking := [path for path in expected if as_printed(path) not in there]:
        few = "; ".join(lacking[:5])
        raise BackupError(
            f"repository {repository.name}: the newest copy lacks {len(lacking)} volumes or databases: {few}"
            " -> see docs/runbooks/BackupUnproven.md"
        )


def group_files(nodes: Iterable[Object], settings: Settings) -> dict[Path, Files]:
    """Group the files of a copy and their sizes into parts that are restored one after the other."""
    found: dict[Path, Files] = {}
    for about in nodes:
        if about["type"] == "file":
            path = str(about["path"])
            found.setdefault(_group_of(Path(path), settings), Counter())[path, int(about.get("size", 0))] += 1
    return found


def _group_of(path: Path, settings: Settings) -> Path:
    for root in (settings.staged, settings.volumes, settings.directory):
        if path.is_relative_to(root):
            return root / path.relative_to(root).parts[0]
    return path


def _check_room(size: int, scratch: Path) -> None:
    free = shutil.disk_usage(scratch).free
    if size + GIB > free:
        raise BackupError(
            f"the drill needs {size / GIB + 1:.1f} GiB at {scratch}, and {free / GIB:.1f} GiB are free"
            " -> free some space, or mount a disk there"
        )


def _check_result(found: "Comparison", repository: Repository) -> None:
    if found.mismatches:
        few = "; ".join(found.mismatches[:5])
        raise BackupError(
            f"repository {repository.name}: {len(found.mismatches)} files came back wrong: {few}"
            " -> see docs/runbooks/BackupUnproven.md"
        )
    if not found.files:
        raise BackupError(f"repository {repository.name}: the newest copy has no files -> save again")


class Comparison:
    """The result of a drill."""

    def __init__(self) -> None:
        self.files = 0
        self.same = 0
        self.changed = 0
        self.mismatches: list[str] = []

    def compare(self, scratch: Path, listed: Files) -> None:
        """Compare restored files with the list of saved ones, and with the current files."""
        found = [Path(parent, name) for parent, _, names in os.walk(scratch) for name in names]
        restored = {
            path: Path("/", path.relative_to(scratch)) for path in found if is_file_or_directory(path)
        }
        there = Counter((as_printed(str(here)), path.stat().st_size) for path, here in restored.items())
        self.files += listed.total()
        self.mismatches += [f"{path} was not restored with its {size} bytes" for path, size in listed - there]
        for path, here in restored.items():
            self._compare(path, here)

    def _compare(self, restored: Path, here: Path) -> None:
        """Compare a restored file with the current one, unless that has changed since."""
        if (error := _database_error(restored)) and not here.exists():
            self.mismatches.append(f"{here} is a damaged database: {error}")
        elif not _is_unchanged(restored, here):
            self.changed += 1
        elif _is_same(restored, here) or not _is_unchanged(restored, here):
            self.same += 1
        else:
            self.mismatches.append(f"{here} differs")


def _is_unchanged(restored: Path, here: Path) -> bool:
    """Return whether a current file has the time and size of the restored one."""
    try:
        ours, theirs = here.stat(), restored.stat()
    except OSError:
        return False
    if not stat.S_ISREG(ours.st_mode):
        return False
    return (ours.st_size, ours.st_mtime_ns // 1000) == (theirs.st_size, theirs.st_mtime_ns // 1000)


def _is_same(restored: Path, here: Path) -> bool:
    try:
        with restored.open("rb") as ours, open_regular(here) as theirs:
            while (block := ours.read(2**20)) == theirs.read(2**20):
                if not block:
                    return True
    except OSError:
        pass
    return False


def _database_error(copy: Path) -> str:
    """Return the error that SQLite finds in a file; empty for an intact database or another file."""
    with copy.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":
            return ""
    try:
        with contextlib.closing(
            sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as database:
            said = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return str(error)
    return "" if said == "ok" else said
