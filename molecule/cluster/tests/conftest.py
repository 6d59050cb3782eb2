"""A home of three machines: two join, one loses its power, and both leave again."""

import pytest
from testinfra import get_host

from tests.support.home import Home, Kubectl
from tests.support.machines import LABELS, TAINTS, Joined, Machines, PowerCut


@pytest.fixture(scope="session")
def machines(home: Home) -> Machines:
    """The machines of the home."""
    founder = get_host(f"ansible://{home.name}", ansible_inventory=str(home.inventory))
    return Machines(home, Kubectl(founder))


@pytest.fixture(scope="session")
def joined(machines: Machines) -> Joined:
    """Install a home of one machine, and let two others join by one run."""
    machines.play("site.yml")
    before = machines.containers()
    machines.up(3)
    machines.describe("molecule-2", microk8s_node_labels=LABELS, microk8s_node_taints=TAINTS)
    return Joined(machines.play("site.yml"), before)


@pytest.fixture(scope="module")
def power_cut(machines: Machines) -> PowerCut:
    """Cut the power of a worker."""
    return machines.cut("molecule-3")
