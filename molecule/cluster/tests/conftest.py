"""A home of three machines: two join, each loses its power once, and both leave again.

Each of these stories can begin with new machines.
"""

import pytest

from harness.home import Kubectl
from harness.machines import LABELS, TAINTS, Joined, Machines, Newcomers, PowerCut

# The order in which one session can run all of them, on the same machines. Molecule sorts files by name.
PARTS = (
    "newcomers",
    "joining",
    "trust",
    "monitoring",
    "workloads",
    "backups",
    "power",
    "logs",
    "leaving",
    "moving",
    "ending",
)
# The founder has answered and the token is used, but the machine is no worker yet.
KILL_HALF_WAY = """
until cd /var/snap/microk8s/current 2>/dev/null \\
  && [ -e var/lock/join-in-progress ] && [ -e certs/ca.remote.crt ]
do sleep 0.05; done
pkill -KILL -f 'wrappers/[j]oin.py'
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests by the parts of the story."""
    items.sort(key=lambda item: PARTS.index(item.path.stem.removeprefix("test_")))


@pytest.fixture
def kubectl(machines: Machines) -> Kubectl:
    """The founder's kubectl, also after it has moved."""
    return machines.kubectl


@pytest.fixture(scope="session")
def three(machines: Machines) -> None:
    """Install a home of one machine, which has all volumes then, and let two others join."""
    machines.play("site.yml")
    machines.up(3)
    machines.play("site.yml")


@pytest.fixture(scope="session")
def newcomers(machines: Machines) -> Newcomers:
    """Install a home of one machine, and ask what would happen to two others."""
    machines.play("site.yml")
    before = machines.containers()
    machines.up(3)
    machines.describe("molecule-2", microk8s_node_labels=LABELS, microk8s_node_taints=TAINTS)
    return Newcomers(machines.play("playbooks/microk8s.yml", "--check", "--diff"), before)


@pytest.fixture(scope="session")
def interrupted(machines: Machines, newcomers: Newcomers) -> str:
    """Kill the first of them while it joins, and return what the run prints."""
    assert newcomers.before
    machines.host("molecule-2").check_output("systemd-run --collect timeout 1800 sh -c %s", KILL_HALF_WAY)
    return machines.refused("site.yml")


@pytest.fixture(scope="session")
def joined(machines: Machines, newcomers: Newcomers, interrupted: str) -> Joined:
    """Let both join by the next run."""
    assert interrupted
    return Joined(machines.play("site.yml"), newcomers.before)


@pytest.fixture(scope="module")
def power_cut(machines: Machines) -> PowerCut:
    """Cut the power of a worker, on which pods without data run."""
    kubectl = machines.kubectl
    try:
        # Those of the app on both workers, so that later one is on the founder and one is not.
        kubectl("cordon molecule")
        kubectl("-n apps rollout restart deployment/hello")
        kubectl("-n apps rollout status deployment/hello --timeout=180s")
        kubectl("cordon molecule-2")
        kubectl("-n traefik rollout restart deployment/whoami")
        kubectl("-n traefik rollout status deployment/whoami --timeout=180s")
    finally:
        kubectl("uncordon molecule molecule-2")
    assert "molecule-3" in machines.pods("apps", "hello").values()
    assert "molecule-3" in machines.pods("traefik", "whoami").values()
    return machines.cut("molecule-3")
