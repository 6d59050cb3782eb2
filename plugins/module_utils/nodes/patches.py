"""Newer revisions of MicroK8s in the channel that it follows: Kubernetes' patches.

Each machine also runs this as a program, with snapd.py beside it. It prints which patch waits, and writes the
file of a metric, its only argument.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from . import snapd

SNAP = "microk8s"
# The last revision that was taken back, which is not installed again.
REFUSED = Path("/var/lib/homeserver-patches/refused.json")
_DAY_SECONDS = 24 * 3600
_METRIC = "homeserver_patch_released_timestamp_seconds"


class Patch(NamedTuple):
    """A revision that waits; `released` is when its channel got it, in seconds since 1970."""

    revision: str
    version: str
    released: float
    refused: bool

    @property
    def days(self) -> int:
        """The whole days since its release."""
        return max(0, int((time.time() - self.released) // _DAY_SECONDS))

    def __str__(self) -> str:
        """Describe it."""
        end = ", and was taken back" if self.refused else ""
        return f"{self.version} (revision {self.revision}) waits since {self.days} days{end}"


def installed() -> snapd.Snap | None:
    """Return the installed MicroK8s.

    Raises:
        SnapdError: snapd does not answer.
    """
    return snapd.snaps().get(SNAP)


def waiting(here: snapd.Snap | None) -> Patch | None:
    """Return the patch that waits. A snap from a file follows no channel, so it has none.

    Raises:
        SnapdError: the store does not answer, or its answer lacks something.
    """
    if not here or not here.channel or not here.revision.isdecimal():
        return None
    offer = snapd.store_offer(SNAP, here.channel)
    # The store gives a revision to some machines earlier than to others, and may withdraw it.
    if int(offer.revision) <= int(here.revision):
        return None
    return Patch(offer.revision, offer.version, _seconds(offer.released), offer.revision == _refused())


def _refused() -> str:
    try:
        return str(json.loads(REFUSED.read_text())["revision"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _seconds(released: str) -> float:
    """Return the time in a timestamp of the store, whose fraction Python's earlier versions cannot read."""
    moment, zone = released[:19], released[19:].lstrip(".0123456789")
    try:
        return datetime.fromisoformat(moment + (zone.replace("Z", "+00:00") or "+00:00")).timestamp()
    except ValueError as error:
        raise snapd.SnapdError(f"the store released a revision at {released!r}") from error


def main() -> None:
    """Run the program. If the store does not answer, the metric stays as it is."""
    try:
        here = installed()
        patch = waiting(here)
    except snapd.SnapdError as error:
        print(f"it is unknown whether a patch waits: {error}")  # noqa: T201
        sys.exit(1)
    _write(Path(sys.argv[1]), metric(patch))
    print(told(here, patch))  # noqa: T201


def told(here: snapd.Snap | None, patch: Patch | None) -> str:
    """Describe the patch that waits, or why there is none."""
    if not here:
        return "not installed"
    if patch:
        return f"{here.version}; {patch}"
    return f"{here.version}, the newest of {here.channel}" if here.channel else f"{here.version}, of a bundle"


def metric(patch: Patch | None) -> str:
    """Return the patch in Prometheus' text format; without one there is no series."""
    head = f"# HELP {_METRIC} When the channel got the patch that waits.\n# TYPE {_METRIC} gauge\n"
    if not patch:
        return head
    labels = f'version="{patch.version}",revision="{patch.revision}",refused="{str(patch.refused).lower()}"'
    return f"{head}{_METRIC}{{{labels}}} {patch.released:.0f}\n"


def _write(file: Path, text: str) -> None:
    """Write the file atomically, with a mode with which node-exporter may read it."""
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(text)
    beside.chmod(0o644)
    beside.replace(file)


if __name__ == "__main__":
    main()
