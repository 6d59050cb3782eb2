"""The command line."""

import argparse
import json
import os
import sys
from pathlib import Path

from . import __doc__ as description
from .drill import drill
from .errors import BackupError
from .journal import escaped, log
from .repositories import check, prepare
from .save import save
from .settings import Settings
from .state import State, exclusive_lock


def status(settings: Settings, state: State) -> list[str]:  # noqa: ARG001
    """Print the state of the repositories, as JSON."""
    log(json.dumps(state.repositories))
    return []


JOBS = {"prepare": prepare, "save": save, "check": check, "drill": drill, "status": status}


def main() -> None:
    """Run a job, and print its errors."""
    parser = argparse.ArgumentParser(
        prog="homeserver_backup", description=(description or "").splitlines()[0]
    )
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("--settings", type=Path, default=Path("/etc/homeserver/backup.json"))
    given = parser.parse_args()
    os.umask(0o077)
    settings = Settings(json.loads(given.settings.read_text()))
    try:
        if given.job == "status":
            errors = status(settings, State(settings))
        else:
            with exclusive_lock(settings):
                errors = _run(given.job, settings)
    except BackupError as error:
        errors = [str(error)]
    for each in errors:
        sys.stderr.write(f"{escaped(each)}\n")
    sys.exit(1 if errors else 0)


def _run(job: str, settings: Settings) -> list[str]:
    state = State(settings)
    try:
        return JOBS[job](settings, state)
    except BackupError as error:
        for repository in settings.repositories:
            state.failed(repository.name, job, str(error))
        raise
