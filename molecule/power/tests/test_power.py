"""A home of one machine loses its power, and is back by itself, with all that was confirmed before."""

from dataclasses import dataclass

import pytest

from tests.support.chaos import Cost, Victim, cost
from tests.support.faults import POWER_CUT, row


@dataclass(frozen=True)
class Cut:
    """What a power cut cost, and how often Jaeger had been restarted before."""

    cost: Cost
    jaeger: int


@pytest.fixture(scope="module")
def cut(victim: Victim) -> Cut:
    """Cut the power of a home that is used, and switch it on again."""
    before = _restarts_of_jaeger(victim)
    return Cut(cost(victim, POWER_CUT), before)


def test_no_row_and_no_metric_is_lost(cut: Cut, capfd: pytest.CaptureFixture[str]) -> None:
    with capfd.disabled():
        print(f"\n{row(POWER_CUT, cut.cost)}")  # noqa: T201
    assert not cut.cost.lost


def test_no_line_is_lost(cut: Cut) -> None:
    assert not cut.cost.lines


def test_jaeger_waited_for_elasticsearch(victim: Victim, cut: Cut) -> None:
    assert _restarts_of_jaeger(victim) <= cut.jaeger + 1


def _restarts_of_jaeger(victim: Victim) -> int:
    (pod,) = victim.kubectl.get("-n tracing pods -l app.kubernetes.io/name=jaeger")["items"]
    return int(pod["status"]["containerStatuses"][0]["restartCount"])
