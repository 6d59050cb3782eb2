"""Opens, creates and checks repositories."""

import json
import re
import time
from pathlib import Path

from .errors import BackupError, UnavailableError
from .journal import log
from .restic import Restic, explain
from .settings import Repository, Settings, directory_of
from .state import State

# The number of checks that together read all data once.
SUBSETS = 12
_ABSENT = re.compile(
    r"is there a repository at the following location|unable to open config file|config file does not exist",
    re.IGNORECASE,
)


def open_or_init(settings: Settings, repository: Repository, state: State) -> Restic:
    """Open a repository, and create it if it never existed.

    A repository that existed before is not created again. Its disk may not be mounted, or it was removed.
    """
    restic = Restic(settings, repository)
    directory = directory_of(repository)
    if directory and not Path(directory).is_dir():
        raise UnavailableError(
            f"repository {repository.name}: there is no directory {directory} -> make it, or mount its disk"
        )
    about = state.repositories[repository.name]
    former = repository.own and not about.get("own") and "id" in about
    known = None if former else about.get("id")
    done = restic.run_unchecked("--no-lock", "cat", "config")
    if done.returncode and _ABSENT.search(done.stderr):
        if known or (former and directory and not Path(directory, "config").exists()):
            raise UnavailableError(
                f"repository {repository.name}: it is gone -> mount its disk; or, to start over"
                " there, rename the entry in backup_repositories"
            )
        made = restic.run_unchecked("init")
        # Another machine of the home may have created it first.
        if made.returncode and "already" not in made.stderr:
            raise explain(repository, made.stderr)
        done = restic.run("--no-lock", "cat", "config")
    elif done.returncode:
        raise explain(repository, done.stderr)
    found = str(json.loads(done.stdout)["id"])
    if known and found != known:
        raise BackupError(
            f"repository {repository.name}: a different repository is there now -> mount the right disk;"
            " or, if this is intended, rename the entry in backup_repositories"
        )
    if not known:
        if former:
            about["former"] = {key: about[key] for key in ("success", "size") if key in about}
        about |= {"id": found, "own": repository.own}
        state.write()
    return restic


def prepare(settings: Settings, state: State) -> list[str]:
    """Open or create all repositories. A known one that is unavailable now only causes an alert."""
    errors = []
    known = [about.get("id") for about in state.repositories.values()]
    for repository in settings.repositories:
        try:
            open_or_init(settings, repository, state)
        except BackupError as error:
            if isinstance(error, UnavailableError) and state.repositories[repository.name].get("id"):
                state.failed(repository.name, "save", str(error))
            else:
                errors.append(str(error))
    state.write()
    changed = known != [about.get("id") for about in state.repositories.values()]
    log(json.dumps({"changed": changed}))
    return errors


def check(settings: Settings, state: State) -> list[str]:
    """Check every repository with a part of its data, and delete data that is no longer kept."""
    errors = []
    part = int(time.time() // (7 * 86400)) % SUBSETS + 1
    for repository in settings.repositories:
        try:
            restic = open_or_init(settings, repository, state)
            restic.run("check", f"--read-data-subset={part}/{SUBSETS}")
            # Only an intact repository is pruned.
            if settings.prunes:
                restic.run("prune")
        except BackupError as error:
            state.failed(repository.name, "check", str(error))
            errors.append(str(error))
        else:
            state.succeeded(repository.name, "check", check=time.time())
            log(f"repository {repository.name}: intact, checked with part {part} of {SUBSETS} of its data")
    return errors
