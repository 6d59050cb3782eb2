"""Programs of the lab that tests run on this machine: the same that run in its pods."""

from functools import cache
from pathlib import Path

from lab.build import cache_root, obtain
from lab.cache import Cache, Part
from lab.catalogue.programs import ALERTMANAGER_PROGRAMS, PROMETHEUS_PROGRAMS


def promtool() -> Path:
    """Return Prometheus' promtool, built first if it must be.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    return _made(PROMETHEUS_PROGRAMS) / "promtool"


def amtool() -> Path:
    """Return Alertmanager's amtool, built first if it must be.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    return _made(ALERTMANAGER_PROGRAMS) / "amtool"


@cache  # each look at a part reads all of it
def _made(part: Part) -> Path:
    (directory,) = obtain(Cache(cache_root()), [part], print)
    return directory
