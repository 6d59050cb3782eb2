"""The app's hooks in gunicorn's master process."""

import gc
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Protocol

from homeserver_app import metrics
from homeserver_app.health import DRAIN
from homeserver_app.settings import Settings


class Worker(Protocol):
    """The part of gunicorn's worker that is used here."""

    pid: int


class Hooks:
    """gunicorn's server hooks."""

    def __init__(self, settings: Settings, metrics_directory: Path) -> None:
        self._settings = settings
        self._directory = metrics_directory

    def when_ready(self, _arbiter: object) -> None:
        """Set up and serve the metrics, and handle SIGTERM, before the first worker starts."""
        host, port = self._settings.host, self._settings.metrics_port
        try:
            metrics.clear(self._directory)
            metrics.serve(host, port, self._directory)
        except OSError as error:
            sys.exit(f"homeserver_app: cannot serve metrics on {host}:{port} from {self._directory}: {error}")
        if self._settings.drain_seconds:
            drain_on_sigterm(self._settings.drain_seconds)
        # The workers share what was imported until somebody writes to it, as the garbage collector would.
        gc.freeze()

    def child_exit(self, _arbiter: object, worker: Worker) -> None:
        """Clean up after a worker exited for any reason."""
        metrics.forget(self._directory, worker.pid)

    def on_exit(self, _arbiter: object) -> None:
        """Clean up after the last worker exited."""
        metrics.remove(self._directory)


def drain_on_sigterm(seconds: int) -> None:
    """Keep serving for a while after SIGTERM, but report not ready, so that clients stop sending requests.

    Kubernetes sends SIGTERM and removes the pod from its services at the same time. A server that stops
    at once would reject requests that still arrive. A second SIGTERM stops at once.
    """
    stop = signal.getsignal(signal.SIGTERM)
    assert callable(stop)  # noqa: S101 -- gunicorn's

    def start_draining(_signal: int, _frame: FrameType | None) -> None:
        DRAIN.start()
        signal.signal(signal.SIGTERM, stop)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    signal.signal(signal.SIGALRM, lambda _signal, frame: stop(signal.SIGTERM, frame))
    signal.signal(signal.SIGTERM, start_draining)
