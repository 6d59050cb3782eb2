"""A machine dies and is forgotten, and at last all that is left is removed."""

import pytest

from harness.home import eventually
from harness.leftovers import left_behind
from harness.machines import Machines, changes

DEAD = "molecule-3"
REMAINING = ("molecule", "molecule-2")
RESET = ("playbooks/reset.yml", "-e", f"microk8s_confirm_removal={','.join(REMAINING)}")

pytestmark = pytest.mark.usefixtures("three")


@pytest.fixture(scope="module")
def dead(machines: Machines) -> str:
    """Take a machine away, also from the inventory. The cluster notices later."""
    machines.remove(DEAD)
    return DEAD


def test_a_machine_that_the_inventory_lacks_is_told(machines: Machines, dead: str) -> None:
    assert f"the node {dead} " in machines.play("playbooks/stages/preflight.yml")


@pytest.mark.usefixtures("dead")
def test_nothing_is_removed_until_every_machine_is_named(machines: Machines) -> None:
    told = machines.refused("playbooks/reset.yml", "-e", "microk8s_confirm_removal=molecule")

    assert f"-e microk8s_confirm_removal={','.join(REMAINING)}" in told
    assert machines.ask("molecule") == "200"


def test_a_dead_machine_is_forgotten(machines: Machines, dead: str) -> None:
    assert eventually(lambda: machines.ready() == set(REMAINING), seconds=120)
    machines.play("playbooks/remove_node.yml", "-e", f"node={dead}")
    assert set(machines.nodes()) == set(REMAINING)


def test_all_machines_are_as_they_were_after_a_reset(machines: Machines) -> None:
    machines.play(*RESET)

    for name in REMAINING:
        assert left_behind(machines.host(name)) == []
    assert not machines.home.kubeconfig.exists()


def test_a_second_reset_changes_nothing(machines: Machines) -> None:
    assert changes(machines.play(*RESET)) == dict.fromkeys(REMAINING, 0)
