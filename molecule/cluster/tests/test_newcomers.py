"""Machines of the inventory that have not joined yet: what a dry run tells, and a join that is killed."""

from harness.machines import JOIN_URL, Machines, Newcomers, changes

WORKERS = ("molecule-2", "molecule-3")


def test_a_dry_run_tells_that_they_would_join(machines: Machines, newcomers: Newcomers) -> None:
    changed = changes(newcomers.previewed)

    for worker in WORKERS:
        assert f"{worker} joins the cluster of molecule: it is not part of the cluster" in newcomers.previewed
        assert changed[worker] > 0
        assert "microk8s" not in machines.host(worker).check_output("snap list; ls /etc")
    assert machines.ready() == {"molecule"}


def test_a_join_that_is_killed_half_way_is_told_and_to_be_repeated(
    machines: Machines, interrupted: str
) -> None:
    told = " ".join(interrupted.split())
    killed = machines.host("molecule-2").file("/var/snap/microk8s/current/var/lock")

    assert "joining was ended by SIGKILL: " in told
    assert "-> run this again" in told
    assert not JOIN_URL.search(interrupted)
    assert "join-in-progress" in killed.listdir()
    assert "clustered.lock" not in killed.listdir()
    assert "molecule-3" not in machines.nodes()
    assert machines.ready() == {"molecule"}
    assert machines.ask("molecule") == "200"
