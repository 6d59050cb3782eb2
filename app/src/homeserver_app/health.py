"""Liveness and readiness."""

import mmap

from flask import Blueprint

PATHS = ("/healthz", "/readyz")

blueprint = Blueprint("health", __name__)


class Drain:
    """A flag, shared with all forked workers, that is set when the server receives the order to stop."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    def start(self) -> None:
        """Set the flag; it cannot be reset."""
        self._memory[0] = 1

    @property
    def started(self) -> bool:
        """Whether the server is about to stop."""
        return self._memory[0] == 1


DRAIN = Drain()


@blueprint.get("/healthz")
def healthz() -> dict[str, str]:
    """Alive: a worker responds."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readyz() -> tuple[dict[str, str], int]:
    """Ready for requests, until the server starts to drain."""
    return ({"status": "draining"}, 503) if DRAIN.started else ({"status": "ready"}, 200)
