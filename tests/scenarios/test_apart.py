"""Run the scenarios that `make test` has no time for, each on new machines in a network of their own.

Chaos is part of `make test`, too; here it is measured on a new home, for docs/benchmark.md.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.scenario import Scenario

pytestmark = pytest.mark.scenario

# A new home grows, lives through power cuts, and shrinks.
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
LAB = Path(os.environ.get("HOMESERVER_LAB_DIR", "/var/lib/homeserver-lab"))
HOME = Scenario(
    lab={
        "HOMESERVER_LAB_DIR": str(LAB.with_name(f"{LAB.name}-several")),
        "HOMESERVER_LAB_BRIDGE": "homelab1",
        "HOMESERVER_LAB_SUBNET": "10.215.0.0/24",
        # A disk that can be full, and GiB to spare for what a home needs.
        "HOMESERVER_LAB_DISK": "40",
    }
)


@pytest.fixture(autouse=True)
def machine() -> Iterator[None]:
    """A new machine for each. Molecule keeps the state of one only, so this runs what Molecule would run."""
    create, destroy = (("ansible-playbook", f"molecule/default/{name}.yml") for name in ("create", "destroy"))
    with HOME.created(*create, destroy=destroy):
        yield


def test_several_machines() -> None:
    HOME.verify(*(f"cluster/tests/test_{part}.py" for part in PARTS))


def test_rotate() -> None:
    _install()
    HOME.verify("rotate/tests/test_rotate_passwords.py", "rotate/tests/test_rotate_authority.py")


def test_chaos() -> None:
    _install()
    HOME.verify("chaos")


def test_upgrade() -> None:
    HOME.verify("upgrade/tests/test_upgrade.py")


def test_upgrade_of_two_machines() -> None:
    HOME.verify("upgrade/tests/test_upgrade_of_two.py")


def _install() -> None:
    HOME.run("ansible-playbook", "-i", str(HOME.directory / "inventory"), "site.yml")
