"""Fixtures of this scenario's tests."""

from collections.abc import Iterator

import pytest

from harness.outage import Outage


@pytest.fixture(scope="session")
def outage() -> Iterator[Outage]:
    """The outage of Elasticsearch, which has not begun yet. In the end it is over."""
    outage = Outage()
    yield outage
    outage.restore.close()
