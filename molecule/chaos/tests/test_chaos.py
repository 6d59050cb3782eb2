"""Faults happen to a home, one after another, while clients use it. It recovers from each by itself."""

import os
from pathlib import Path

import pytest

from tests.support.chaos import Fault, Victim, cost
from tests.support.faults import FAULTS, noted, row

# The page whose last table is written, if any.
PAGE = os.environ.get("HOMESERVER_BENCHMARK_PAGE")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_nothing_is_lost(fault: Fault, victim: Victim, capfd: pytest.CaptureFixture[str]) -> None:
    found = cost(victim, fault)

    with capfd.disabled():
        print(f"\n{row(fault, found)}")  # noqa: T201
    if PAGE:
        Path(PAGE).write_text(noted(Path(PAGE).read_text(), row(fault, found)))
    assert not found.lost
    assert not found.lines
