"""Run the lanes of tests/lanes.py, each on new machines in a network of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import debian_13
from harness.scenario import Scenario, in_network
from tests.lanes import LANES, standalone_of_this_commit

pytestmark = pytest.mark.scenario

NAMES = [lane.name for lane in LANES]


@pytest.fixture
def home(request: pytest.FixtureRequest) -> Iterator[Scenario]:
    """A new machine."""
    lane = request.node.name.removeprefix("test_").replace("_", "-")
    # A fault fills this disk. It is larger than a home needs.
    scenario = Scenario(lab=in_network(lane, 2 + NAMES.index(lane)) | {"HOMESERVER_LAB_DISK": "40"})
    # Only its snapd can hold refreshes.
    if lane in {"debian-13", "patches"}:
        scenario.lab["HOMESERVER_LAB_RELEASE"] = "trixie"
    with scenario.created():
        yield scenario


def test_small(home: Scenario) -> None:
    """A home without logs and traces. It moves, is removed, then pulls all images."""
    home.without_logs()
    home.install()
    home.run("pytest", "-n", "5", "tests/integration", KUBECONFIG=str(home.kubeconfig))
    for name in ("without_logs", "addresses", "arguments"):
        home.verify(name)
    home.run("ansible-playbook", "-i", str(home.inventory), "molecule/removal/converge.yml")
    home.verify("removal")
    # It needs a bare machine, and comes last: images that were pulled with a login need it again.
    home.verify("pull")


def test_joining(home: Scenario) -> None:
    _verify_cluster(home, "newcomers", "joining", "trust")


def test_power(home: Scenario) -> None:
    _verify_cluster(home, "monitoring", "workloads", "backups", "power", "logs")


def test_leaving(home: Scenario) -> None:
    _verify_cluster(home, "leaving", "moving", "ending")


def test_apps(home: Scenario) -> None:
    _verify_apps(home, "updates", "move_in")


def test_catalogue(home: Scenario) -> None:
    _verify_apps(home, "catalogue", "devices")


def test_passwords(home: Scenario) -> None:
    home.install()
    home.verify("rotate/tests/test_rotate_passwords.py")


def test_authority(home: Scenario) -> None:
    home.install()
    home.verify("rotate/tests/test_rotate_authority.py")


def test_restore(home: Scenario) -> None:
    home.install()
    home.verify("restore")


def test_upgrade(home: Scenario) -> None:
    home.verify("upgrade")


def test_patches(home: Scenario) -> None:
    """A home whose Kubernetes is from a stand-in for the snap store."""
    home.without_logs()
    home.verify("patches")


def test_takeover(home: Scenario) -> None:
    home.verify("takeover")


def test_upgrade_of_two(home: Scenario) -> None:
    home.verify("upgrade_of_two")


def test_faults(home: Scenario) -> None:
    home.install()
    home.verify("chaos", marked="not long")


def test_long_faults(home: Scenario) -> None:
    home.install()
    home.verify("chaos", marked="long")


def test_debian_13(home: Scenario, tmp_path: Path) -> None:
    """The whole home, and what depends on the host, on the next release of Debian."""
    _test(home, "site", tmp_path)
    home.verify("microk8s", "firewall", "options")


def test_control(tmp_path: Path) -> None:
    """The tests of the control machine's programs, on the next release of Debian with its Python."""
    debian_13.run(tmp_path, "make", "fast-test", "UNIT=tests/unit -n 2 --dist loadfile --durations=15")


def test_standalone(home: Scenario, tmp_path: Path) -> None:
    """One scenario by itself, as a developer runs it."""
    _test(home, os.environ.get("SCENARIO") or standalone_of_this_commit(), tmp_path)


def _test(home: Scenario, name: str, state: Path) -> None:
    """Run a scenario, with a state of Molecule that no other run shares."""
    home.run("molecule", "test", "--destroy=never", "-s", name, MOLECULE_EPHEMERAL_DIRECTORY=str(state))


def _verify_apps(home: Scenario, *parts: str) -> None:
    home.without_logs()
    home.install()
    home.verify(*(f"apps/tests/test_{part}.py" for part in parts))


def _verify_cluster(home: Scenario, *parts: str) -> None:
    home.verify(*(f"cluster/tests/test_{part}.py" for part in parts))
