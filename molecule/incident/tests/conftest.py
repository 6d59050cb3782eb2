"""Fixtures of this scenario's tests."""

import pytest

from harness.incident import Story


@pytest.fixture(scope="session")
def known() -> Story:
    """The state of the incident so far."""
    return Story()
