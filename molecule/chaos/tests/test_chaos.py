"""Faults happen to a home, one after another, while clients use it. It recovers from each by itself."""

import os
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from bench import page
from harness.chaos import Fault, Victim, cost
from harness.faults import FAULTS, FULL_DISK, POWER_CUT, excess, noted, row
from harness.home import eventually

# The page whose last table is written, if any.
PAGE = os.environ.get("HOMESERVER_BENCHMARK_PAGE")
# The app whose restarts a fault is about, as its namespace and name.
RESTARTED = {POWER_CUT: ("tracing", "jaeger"), FULL_DISK: ("monitoring", "prometheus")}
# Without the pods that were evicted.
_POD = "-n {} pods -l app.kubernetes.io/name={} --field-selector=status.phase=Running"


def _parameter(fault: Fault) -> ParameterSet:
    marks = [*([pytest.mark.long] if fault.long else []), *([pytest.mark.often] if fault.often else [])]
    return pytest.param(fault, id=fault.name, marks=marks)


@pytest.mark.parametrize("fault", [_parameter(fault) for fault in FAULTS])
def test_nothing_is_lost(fault: Fault, victim: Victim, capfd: pytest.CaptureFixture[str]) -> None:
    before = _restarts(victim, fault)
    found = cost(victim, fault)

    with capfd.disabled():
        print(f"\n{row(fault, found)}")  # noqa: T201
    if PAGE:
        Path(PAGE).write_text(noted(Path(PAGE).read_text(), row(fault, found)))
    else:
        assert excess(fault, found, page.FILE.read_text()) == []
    assert not found.lost
    assert not found.lines or fault.loses_lines
    if fault is POWER_CUT:
        # It waits for Elasticsearch, which takes longer to start.
        assert _restarts(victim, fault) <= before + 1
    if fault is FULL_DISK:
        # Otherwise the next power cut loses what it measured meanwhile.
        assert eventually(lambda: _restarts(victim, fault) > before, 180)


def _restarts(victim: Victim, fault: Fault) -> int:
    """Return how often the app that a fault is about has been restarted; 0 for other faults."""
    if fault not in RESTARTED:
        return 0
    (pod,) = victim.kubectl.get(_POD.format(*RESTARTED[fault]))["items"]
    return int(pod["status"]["containerStatuses"][0]["restartCount"])
