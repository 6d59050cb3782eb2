"""Run the scenario of several machines: a home grows, lives through power cuts, and shrinks.

It takes a quarter of an hour and waits most of the time, so it is not part of `make test`.
"""

import pytest

from tests.support.scenario import created, verify

PARTS = ("joining", "monitoring", "workloads", "power", "leaving")

pytestmark = pytest.mark.several


def test_several_machines() -> None:
    with created():
        verify(*(f"cluster/tests/test_{part}.py" for part in PARTS))
