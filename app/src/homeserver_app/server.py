"""What gunicorn's master process does for the app."""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Protocol

from homeserver_app import metrics
from homeserver_app.health import DRAIN
from homeserver_app.settings import Settings


class Worker(Protocol):
    """What is used of gunicorn's worker."""

    pid: int


class Hooks:
    """gunicorn's server hooks."""

    def __init__(self, settings: Settings, metrics_directory: Path) -> None:
        self._settings = settings
        self._directory = metrics_directory

    def when_ready(self, _arbiter: object) -> None:
        """Before the first worker: share metrics, serve them, and take care of the order to stop."""
        host, port = self._settings.host, self._settings.metrics_port
        try:
            metrics.clear(self._directory)
            metrics.serve(host, port, self._directory)
        except OSError as error:
            sys.exit(f"homeserver_app: cannot serve metrics on {host}:{port} from {self._directory}: {error}")
        if self._settings.drain_seconds:
            drain_on_sigterm(self._settings.drain_seconds)

    def child_exit(self, _arbiter: object, worker: Worker) -> None:
        """After a worker ended, however it did."""
        metrics.forget(self._directory, worker.pid)

    def on_exit(self, _arbiter: object) -> None:
        """After the last worker ended."""
        metrics.remove(self._directory)


def drain_on_sigterm(seconds: int) -> None:
    """Go on serving for a while after SIGTERM, as not ready, so that all who send requests learn to stop.

    Kubernetes sends SIGTERM and takes the pod out of its services at the same time: whoever stops at once
    refuses the requests that are still sent to it. A second SIGTERM stops at once.
    """
    stop = signal.getsignal(signal.SIGTERM)
    assert callable(stop)  # noqa: S101 -- gunicorn's

    def begin(_signal: int, _frame: FrameType | None) -> None:
        DRAIN.begin()
        signal.signal(signal.SIGTERM, stop)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    signal.signal(signal.SIGALRM, lambda _signal, frame: stop(signal.SIGTERM, frame))
    signal.signal(signal.SIGTERM, begin)
