"""Keeps the results of earlier runs."""

import contextlib
import fcntl
import json
import time
from collections.abc import Iterator
from typing import Any

from .atomic import write_atomic
from .errors import BackupError
from .metrics import metrics
from .settings import Settings

JOB_LOCK_SECONDS = 7200


class State:
    """The results of earlier runs by repository, in state.json and as metrics."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.directory / "state.json"
        self._metrics = settings.metrics / "homeserver_backup.prom"
        self._names = [repository.name for repository in settings.repositories]
        try:
            found = json.loads(self._file.read_text())
        except (OSError, ValueError):
            found = {}
        self.repositories: dict[str, dict[str, Any]] = {
            name: {"configured": time.time(), "failures": {}, **found.get(name, {})} for name in self._names
        }

    def succeeded(self, name: str, job: str, **values: float | str) -> None:
        """Record that a job succeeded."""
        self.repositories[name].update(values)
        self.repositories[name]["failures"].pop(job, None)
        self.write()

    def failed(self, name: str, job: str, why: str) -> None:
        """Record that a job failed."""
        self.repositories[name]["failures"][job] = why
        self.write()

    def write(self) -> None:
        """Write the state and the metrics atomically."""
        write_atomic(self._file, json.dumps(self.repositories, indent=1), 0o600)
        self._metrics.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self._metrics, "".join(metrics(self.repositories)), 0o644)


@contextlib.contextmanager
def exclusive_lock(settings: Settings) -> Iterator[None]:
    """Wait until no other job of this program runs here."""
    settings.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.directory / ".lock").open("w") as file:
        deadline = time.monotonic() + JOB_LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    message = f"another job still runs after {JOB_LOCK_SECONDS // 60} minutes -> see"
                    raise BackupError(f"{message} systemctl list-units 'homeserver-backup*'") from None
            time.sleep(1)
        yield
