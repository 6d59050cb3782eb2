"""Elasticsearch is back after the outage in test_outage.py, and no line is lost."""

import sys

import pytest

from harness.home import Kubectl
from harness.logs import Logs
from harness.outage import LINES, SECONDS, Outage
from harness.shipping import all_there, duplicates, remove


@pytest.fixture(scope="module")
def over(outage: Outage, logs: Logs, kubectl: Kubectl) -> Outage:
    """Elasticsearch runs again."""
    assert outage.began, "run test_outage.py first"
    outage.end(logs, kubectl)
    return outage


@pytest.mark.parametrize("number", [0, 1], ids=["while it was down", "when it came back"])
def test_no_line_is_lost_that_was_written(over: Outage, logs: Logs, kubectl: Kubectl, number: int) -> None:
    mark = over.marks[number]

    all_there(logs, mark, LINES, seconds=SECONDS + 300)
    sys.stdout.write(f"{duplicates(kubectl)} lines were sent again, and refused\n")
    remove(kubectl, mark)
