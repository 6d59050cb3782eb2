"""Homes that go up by one minor version."""

import pytest

from tests.support.home import Home
from tests.support.machines import Machines


@pytest.fixture(scope="session")
def machines(home: Home) -> Machines:
    """The machines of the home, with its logs."""
    return Machines(home, options=("-e", '{"homeserver_tracing_enabled": false}'))
