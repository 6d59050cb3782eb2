"""Saves a machine to its repositories."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from .errors import BackupError
from .files import symlinks_refused
from .hooks import Hooks
from .journal import log
from .repositories import open_or_init
from .restic import INCOMPLETE, escape_pattern, unreadable_files
from .settings import TAG, Repository, Settings
from .state import State
from .volumes import stage


def save(settings: Settings, state: State) -> list[str]:
    """Save everything to every repository."""
    if (settings.directory / "restoring").exists():
        raise BackupError(
            "a restore has started but not finished, so nothing is saved -> finish it: playbooks/restore.yml"
        )
    shutil.rmtree(settings.staged, ignore_errors=True)
    hooks = Hooks(settings)
    errors: list[str] = []
    try:
        errors += hooks.before()
        excluded, staging_errors = stage(settings)
        errors += staging_errors
        for failed in [
            _save_to(settings, repository, state, excluded, errors) for repository in settings.repositories
        ]:
            errors += failed
    finally:
        shutil.rmtree(settings.staged, ignore_errors=True)
        late = hooks.after()
    for about in late:
        for repository in settings.repositories:
            state.failed(repository.name, "save", about)
    return errors + late


def _save_to(
    settings: Settings,
    repository: Repository,
    state: State,
    excluded: Iterable[Path],
    staging_errors: list[str],
) -> list[str]:
    started = time.time()
    try:
        restic = open_or_init(settings, repository, state)
        with tempfile.NamedTemporaryFile(prefix="homeserver-backup-") as file:
            file.writelines(os.fsencode(f"{escape_pattern(path)}\n") for path in excluded)
            file.flush()
            arguments = ("--json", "--host", settings.host, "--tag", TAG, "--exclude-file", file.name)
            with symlinks_refused(settings.volumes):
                done = restic.run("backup", *arguments, *settings.paths, accepted=(0, INCOMPLETE))
        unread = unreadable_files(done.stderr)
        if unread:
            raise BackupError(
                f"repository {repository.name}: everything is saved except {len(unread)} files"
                f" -> {'; '.join(unread[:5])}"
            )
        if settings.prunes:
            keep = [f"--keep-{period}={number}" for period, number in settings.keep.items()]
            restic.run(*("forget", "--host", settings.host, "--tag", TAG, "--group-by", "host,tags", *keep))
        size = json.loads(restic.run("stats", "--mode", "raw-data", "--json").stdout)["total_size"]
    except BackupError as error:
        state.failed(repository.name, "save", "; ".join([*staging_errors, str(error)]))
        return [str(error)]
    duration = time.time() - started
    log(f"repository {repository.name}: saved in {duration:.0f} s, it takes {size / 2**20:.0f} MiB")
    if staging_errors:
        state.failed(repository.name, "save", "; ".join(staging_errors))
    else:
        state.succeeded(repository.name, "save", success=time.time(), duration=round(duration, 1), size=size)
    return []
