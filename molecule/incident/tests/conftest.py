"""What this scenario's tests share."""

from collections.abc import Iterator

import pytest

from tests.recorder import Recorder, recording


@pytest.fixture(scope="session", autouse=True)
def recorder() -> Iterator[Recorder]:
    """Who is told of alerts; all the time, for one that does not listen is itself worth an alert."""
    with recording(8098) as listening:  # as converge.yml says
        yield listening
