"""The command line."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from . import __doc__ as description
from .check import check
from .cluster import Cluster
from .errors import UpdateError
from .journal import escaped, log
from .kubectl import KubectlError
from .settings import Settings
from .state import State, check_not_held, exclusive_lock, hold, release
from .update import Updates
from .volumes import CopyError

_PATIENCE_SECONDS = 900
"""How long the cluster may take to answer after a power cut."""


def main() -> None:
    """Run a job, and print its errors."""
    parser = argparse.ArgumentParser(
        prog="homeserver_update", description=(description or "").splitlines()[0]
    )
    parser.add_argument("job", choices=("check", "run", "resume", "hold", "release"))
    parser.add_argument("--app", default="", help="the only app, or stack")
    parser.add_argument("--watch-seconds", type=float, help="how long an updated app is watched")
    parser.add_argument("--settings", type=Path, default=Path("/etc/homeserver/update.json"))
    given = parser.parse_args()
    os.umask(0o077)
    settings = Settings(json.loads(given.settings.read_text()))
    if given.watch_seconds is not None:
        settings.watch_seconds = given.watch_seconds
    try:
        with exclusive_lock(settings):
            failed = run(given.job, settings, Cluster(settings), given.app)
    except (UpdateError, KubectlError) as error:
        sys.stderr.write(f"{escaped(str(error))}\n")
        failed = True
    sys.exit(1 if failed else 0)


def run(job: str, settings: Settings, cluster: Cluster, app: str = "") -> bool:
    """Run a job, and return whether an app could not be updated.

    Raises:
        UpdateError: the job cannot be done now.
        KubectlError: the cluster does not answer.
    """
    if job in ("hold", "release"):
        (hold if job == "hold" else release)(settings)
        return False
    state = State(settings)
    updates = Updates(settings, cluster, state)
    if job == "resume":
        _wait_for(cluster)
    if job in ("resume", "run"):
        updates.resume()
    if job == "resume":
        return False
    if job == "run":
        check_not_held(settings)
    ready = check(settings, cluster, state, app)
    failed = False
    for group in ready if job == "run" else []:
        try:
            failed |= not updates.update(group)
        except (UpdateError, CopyError) as error:
            log(f"{group}: not updated: {error}")
            failed = True
    if job == "check":
        log(json.dumps({"ready": ready}))
    return failed


def _wait_for(cluster: Cluster) -> None:
    """Wait until the cluster answers, as after a power cut."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            cluster.records()
        except KubectlError:
            if time.monotonic() > deadline:
                raise
            time.sleep(cluster.poll_seconds)
        else:
            return
