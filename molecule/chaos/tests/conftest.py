"""A home to which faults happen."""

import pytest

from tests.support.chaos import Victim
from tests.support.home import Home, Kubectl
from tests.support.logs import Logs
from tests.support.machines import Machines
from tests.support.prometheus import Prometheus
from tests.support.recorder import Recorder


@pytest.fixture(scope="module")
def victim(home: Home, kubectl: Kubectl, logs: Logs, recorder: Recorder) -> Victim:
    """The home."""
    return Victim(home, Machines(home), kubectl, logs, Prometheus(home), recorder)
