"""Fixtures of this scenario's tests."""

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from harness.drills import OVER, Drill, Past, drills_of
from harness.home import Home, Kubectl, eventually
from harness.prometheus import Prometheus
from harness.recorder import Recorder


@pytest.fixture(scope="session")
def drills(home: Home) -> dict[str, Drill]:
    """The faults to inject."""
    return drills_of(home)


@pytest.fixture(scope="session")
def _past(recorder: Recorder) -> Iterator[Past]:
    """Nothing yet. In the end no fault remains."""
    past = Past(recorder)
    yield past
    past.faults.close()


@pytest.fixture(scope="module")
def begun(
    _past: Past, host: Host, kubectl: Kubectl, drills: dict[str, Drill], prometheus: Prometheus
) -> Past:
    """All faults were injected, in this module or an earlier one."""
    if not _past.injected:
        # What fires already, such as after an earlier run, would not be reported again.
        already = " or ".join(drill.firing for drill in drills.values())
        assert eventually(lambda: prometheus.query(already) == [], OVER), prometheus.query(already)
        others = prometheus.query('ALERTS{alertstate="firing"}')
        _past.others.update(alert["metric"]["alertname"] for alert in others)
        _past.inject(host, kubectl)
    return _past


@pytest.fixture(scope="module")
def past(begun: Past, drills: dict[str, Drill]) -> Past:
    """All faults were reported and fixed as well."""
    begun.fix(drills)
    return begun
