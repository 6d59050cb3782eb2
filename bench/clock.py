"""How long a thing takes."""

import time
from collections.abc import Callable


def seconds(step: Callable[[], object]) -> float:
    """Take the step; return the seconds it took."""
    started = time.monotonic()
    step()
    return time.monotonic() - started
