"""Faults happen to a home, one after another, while clients use it. It recovers from each by itself."""

import os
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.support.chaos import Fault, Victim, cost
from tests.support.faults import FAULTS, FULL_DISK, POWER_CUT, noted, row
from tests.support.home import eventually

# The page whose last table is written, if any.
PAGE = os.environ.get("HOMESERVER_BENCHMARK_PAGE")
# Without the pods that were evicted.
_POD = "-n {} pods -l app.kubernetes.io/name={} --field-selector=status.phase=Running"


def _parameter(fault: Fault) -> ParameterSet:
    return pytest.param(fault, id=fault.name, marks=[pytest.mark.long] if fault.long else [])


@pytest.mark.parametrize("fault", [_parameter(fault) for fault in FAULTS])
def test_nothing_is_lost(fault: Fault, victim: Victim, capfd: pytest.CaptureFixture[str]) -> None:
    jaeger = _restarts(victim, "tracing", "jaeger") if fault is POWER_CUT else 0
    prometheus = _restarts(victim, "monitoring", "prometheus")
    found = cost(victim, fault)

    with capfd.disabled():
        print(f"\n{row(fault, found)}")  # noqa: T201
    if PAGE:
        Path(PAGE).write_text(noted(Path(PAGE).read_text(), row(fault, found)))
    assert not found.lost
    assert not found.lines or fault.loses_lines
    if fault is POWER_CUT:
        # It waits for Elasticsearch, which takes longer to start.
        assert _restarts(victim, "tracing", "jaeger") <= jaeger + 1
    if fault is FULL_DISK:
        # Otherwise the next power cut loses what it measured meanwhile.
        assert eventually(lambda: _restarts(victim, "monitoring", "prometheus") > prometheus, 180)


def _restarts(victim: Victim, namespace: str, app: str) -> int:
    (pod,) = victim.kubectl.get(_POD.format(namespace, app))["items"]
    return int(pod["status"]["containerStatuses"][0]["restartCount"])
