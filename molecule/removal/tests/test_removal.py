"""What was put there is taken away again, down to the bare host, and could be put there anew."""

import re
import socket

import pytest
from testinfra.host import Host

from tests.home import Home, Kubectl

OF_LOGS = (
    "/etc/systemd/system/homeserver-journal.service",
    "/usr/local/lib/homeserver-journal.py",
    "/var/lib/homeserver-filebeat",
    "/var/log/homeserver-journal",
)
LEFTOVERS = ("/etc/microk8s.yaml", "/var/snap/microk8s", "/snap/microk8s", "/var/lib/cni", "/opt/cni")


def test_nothing_of_the_roles_is_left_in_the_cluster(kubectl: Kubectl) -> None:
    left = kubectl.get(
        "namespaces,customresourcedefinitions,clusterroles -l app.kubernetes.io/managed-by=homeserver"
    )

    assert left["items"] == []


def test_nothing_that_read_logs_is_left_on_the_host(host: Host) -> None:
    assert [path for path in OF_LOGS if host.file(path).exists] == []


def test_nobody_answers_at_the_door(home: Home) -> None:
    for port in (80, 443):
        with pytest.raises(OSError, match=r"refused|timed out|unreachable"):
            socket.create_connection((home.address, port), timeout=3)


def test_microk8s_is_not_taken_away_by_mistake(home: Home, host: Host) -> None:
    run = home.play("playbooks/microk8s.yml", "-e", "microk8s_state=absent")

    assert run.returncode != 0
    assert f"-e microk8s_confirm_removal={home.name}" in " ".join(run.stdout.split())
    assert host.file("/snap/bin/microk8s").exists


@pytest.fixture(scope="module")
def removed(home: Home) -> None:
    """MicroK8s, taken away."""
    run = home.play("playbooks/microk8s.yml", "-e", _removal(home))
    assert run.returncode == 0, run.stdout + run.stderr


def _removal(home: Home) -> str:
    return f"microk8s_state=absent microk8s_confirm_removal={home.name}"


@pytest.mark.usefixtures("removed")
def test_the_host_is_as_it_was(home: Home, host: Host) -> None:
    assert [path for path in LEFTOVERS if host.file(path).exists] == []
    assert "microk8s" not in host.check_output("snap list; systemctl list-units --all; getent group")
    assert not re.search("KUBE-|cali", host.check_output("iptables-save; ip -brief link; ip route"))
    assert not home.kubeconfig.exists()


@pytest.mark.usefixtures("removed")
def test_removing_it_again_changes_nothing(home: Home) -> None:
    run = home.play("playbooks/microk8s.yml", "-e", _removal(home))

    assert run.returncode == 0, run.stdout + run.stderr
    assert set(re.findall(r"changed=(\d+)", run.stdout)) == {"0"}, run.stdout


@pytest.mark.usefixtures("removed")
def test_a_dry_run_on_the_bare_host_works_and_leaves_it_bare(home: Home, host: Host) -> None:
    run = home.play("site.yml", "--check", "--diff")

    assert run.returncode == 0, run.stdout + run.stderr
    assert [path for path in LEFTOVERS if host.file(path).exists] == []
    assert not home.kubeconfig.exists()
