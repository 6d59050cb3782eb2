"""Measuring time."""

import time
from collections.abc import Callable


def seconds(step: Callable[[], object]) -> float:
    """Run the step; return its duration in seconds."""
    started = time.monotonic()
    step()
    return time.monotonic() - started
