"""A home goes up by one minor version of Kubernetes."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

import requests

from bench.page import FILE, Row, faults_of, page, replaced, rows_of
from harness.home import Home
from harness.machines import Machines
from lab.build import build_earlier
from lab.catalogue.programs import EARLIER_KUBERNETES

PAGE = os.environ.get("HOMESERVER_BENCHMARK_PAGE")
GROUP = "Upgrades"


class Outage:
    """How long the API of Kubernetes was away.

    Attributes:
        seconds: The longest time without an answer.
    """

    def __init__(self, home: Home) -> None:
        """It answers now."""
        self._url = f"https://{home.address}:16443/readyz"
        self._answered = time.monotonic()
        self.seconds = 0.0

    def look(self) -> None:
        """Ask it once."""
        try:
            # Its certificate is its own; whoever has no name may not ask everything, and has reached it.
            requests.get(self._url, verify=False, timeout=2)  # noqa: S501
        except requests.RequestException:
            return
        self.seconds = max(self.seconds, time.monotonic() - self._answered)
        self._answered = time.monotonic()


def install_earlier(machines: Machines) -> None:
    """Let all machines of the inventory run the version before."""
    machines.play("site.yml", "-e", f"homeserver_bundle={build_earlier(print)}")
    assert versions(machines) == {EARLIER_KUBERNETES}


def versions(machines: Machines) -> set[str]:
    """Return the versions that the machines run."""
    return {str(node["status"]["nodeInfo"]["kubeletVersion"]) for node in machines.nodes().values()}


def note(duration: Row, *costs: Row) -> None:
    """Print what was measured; write it to the page, if one is given, otherwise check what it cost users."""
    measured = (duration, *costs)
    print(*(f"{each.what}: {each.measured}" for each in measured), sep="\n")  # noqa: T201
    if PAGE:
        text = Path(PAGE).read_text()
        Path(PAGE).write_text(page(replaced(rows_of(text), measured), faults_of(text)))
    else:
        assert excess(costs, rows_of(FILE.read_text())) == []


def excess(costs: Iterable[Row], usual: Iterable[Row]) -> list[str]:
    """Return what cost users far more than usual: three times as much, and what a busy machine adds."""
    known = {row.what: row for row in usual if row.group == GROUP}
    return [
        f"{row.what}: {row.measured}, usually {known[row.what].measured}"
        for row in costs
        if row.values[0] > 3 * known[row.what].values[0] + 10
    ]
