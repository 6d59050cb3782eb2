"""Makes consistent copies of data that changes during a save."""

import contextlib
import fnmatch
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from .atomic import write_atomic
from .cluster import write_objects
from .databases import copy_databases
from .errors import BackupError
from .files import symlinks_refused
from .hooks import snapshot_logs
from .prometheus import copy_prometheus
from .settings import Settings


def stage(settings: Settings) -> tuple[list[Path], list[str]]:
    """Write the objects of the cluster, and copies of data that changes.

    Returns the paths that are then excluded, and the errors.
    """
    settings.staged.mkdir(mode=0o700, parents=True)
    excluded = [settings.directory / name for name in ("state.json", ".state.json.new", ".lock", "restoring")]
    errors: list[str] = []
    if settings.founder:
        errors += _errors_of("the inventory of the control machine", partial(_check_control, settings))
        errors += _errors_of("the objects of the cluster", partial(write_objects, settings))
        errors += _errors_of("the snapshot of the logs", partial(snapshot_logs, settings))
    # Both are in one mount, because files cannot be linked across mounts.
    with symlinks_refused(Path(os.path.commonpath([settings.staged, settings.volumes]))):
        for volume in sorted(settings.volumes.iterdir()) if settings.volumes.is_dir() else []:
            copy = settings.staged / volume_name(volume)
            if _matches(volume, settings.left_out):
                excluded.append(volume)
            elif _matches(volume, settings.prometheus):
                excluded.append(volume)
                errors += _errors_of(str(volume), partial(copy_prometheus, volume, copy))
            elif volume.is_dir():
                excluded += copy_databases(volume, copy)
    write_atomic(settings.expected, json.dumps(sorted(_expected(settings)), indent=1), 0o600)
    return excluded, errors


def _expected(settings: Settings) -> set[str]:
    """List the expected contents of a copy: the directories of volumes, and the consistent copies."""
    volumes = set(settings.volumes.iterdir()) if settings.volumes.is_dir() else set()
    if settings.founder:
        with contextlib.suppress(OSError, ValueError):
            known = json.loads((settings.directory / "cluster/volumes.json").read_text())
            node = os.uname().nodename.lower()
            volumes |= {Path(each["path"]) for each in known if each["node"] == node}
    named = {each for each in volumes if not _matches(each, [*settings.left_out, *settings.prometheus])}
    copies = {Path(parent, name) for parent, _, names in os.walk(settings.staged) for name in names}
    return {str(path) for path in named | copies}


def _errors_of(what: str, act: Callable[[], None]) -> list[str]:
    try:
        act()
    except (BackupError, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        return [f"{what} could not be saved: {error}"]
    return []


def _matches(volume: Path, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(volume.name, each) for each in patterns)


def volume_name(directory: Path) -> str:
    """Return the name of the PersistentVolume whose directory this is."""
    found = re.search(r"pvc-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", directory.name)
    return found.group() if found else directory.name


def _check_control(settings: Settings) -> None:
    """Check that the encrypted inventory of the control machine is there."""
    if not settings.control.is_file():
        raise BackupError(f"there is no {settings.control} -> run site.yml")
