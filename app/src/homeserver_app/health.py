"""Whether the app lives, and whether it wants requests."""

import mmap

from flask import Blueprint

PATHS = ("/healthz", "/readyz")

blueprint = Blueprint("health", __name__)


class Drain:
    """A flag that the server raises when it is told to stop, seen by every worker forked from it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    def begin(self) -> None:
        """Raise the flag; there is no way back."""
        self._memory[0] = 1

    @property
    def begun(self) -> bool:
        """Whether the server is about to stop."""
        return self._memory[0] == 1


DRAIN = Drain()


@blueprint.get("/healthz")
def healthz() -> dict[str, str]:
    """Alive: a worker answers."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readyz() -> tuple[dict[str, str], int]:
    """Ready for requests, until the server is told to stop."""
    return ({"status": "draining"}, 503) if DRAIN.begun else ({"status": "ready"}, 200)
