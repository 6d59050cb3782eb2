"""Everything is removed, down to the bare host, and can be installed again."""

import re
import socket

import pytest
from testinfra.host import Host

from tests.support.home import Home, Kubectl

OF_LOGS = (
    "/etc/systemd/system/homeserver-journal.service",
    "/usr/local/lib/homeserver-journal.py",
    "/var/lib/homeserver-filebeat",
    "/var/log/homeserver-journal",
)
LEFTOVERS = (
    "/etc/apparmor.d/cri-containerd.apparmor.d",
    "/etc/cni",
    "/etc/microk8s.yaml",
    "/etc/sysctl.d/10-microk8s.conf",
    "/etc/sysctl.d/60-homeserver.conf",
    "/opt/cni",
    "/snap/microk8s",
    "/var/lib/cni",
    "/var/log/containers",
    "/var/log/pods",
    "/var/snap/microk8s",
)


def test_nothing_of_the_roles_is_left_in_the_cluster(kubectl: Kubectl) -> None:
    left = kubectl.get(
        "namespaces,customresourcedefinitions,clusterroles -l app.kubernetes.io/managed-by=homeserver"
    )

    assert left["items"] == []


def test_no_log_collector_is_left_on_the_host(host: Host) -> None:
    assert [path for path in OF_LOGS if host.file(path).exists] == []


def test_the_ports_are_closed(home: Home) -> None:
    for port in (80, 443):
        with pytest.raises(OSError, match=r"refused|timed out|unreachable"):
            socket.create_connection((home.address, port), timeout=3)


def test_microk8s_is_not_removed_by_mistake(home: Home, host: Host) -> None:
    run = home.play("playbooks/microk8s.yml", "-e", "microk8s_state=absent")

    assert run.returncode != 0
    assert f"-e microk8s_confirm_removal={home.name}" in " ".join(run.stdout.split())
    assert host.file("/snap/bin/microk8s").exists


@pytest.fixture(scope="module")
def removed(home: Home) -> None:
    """Remove everything."""
    run = home.play("playbooks/reset.yml", "-e", f"microk8s_confirm_removal={home.name}")
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.usefixtures("removed")
def test_the_host_is_in_its_original_state(home: Home, host: Host) -> None:
    assert [path for path in LEFTOVERS if host.file(path).exists] == []
    assert "microk8s" not in host.check_output("snap list; systemctl list-units --all; getent group")
    assert not re.search("KUBE-|cali", host.check_output("iptables-save; ip -brief link; ip route"))
    assert not home.kubeconfig.exists()


@pytest.mark.usefixtures("removed")
def test_a_second_removal_changes_nothing(home: Home) -> None:
    run = home.play("playbooks/reset.yml", "-e", f"microk8s_confirm_removal={home.name}")

    assert run.returncode == 0, run.stdout + run.stderr
    assert set(re.findall(r"changed=(\d+)", run.stdout)) == {"0"}, run.stdout


@pytest.mark.usefixtures("removed")
def test_a_dry_run_on_the_bare_host_changes_nothing(home: Home, host: Host) -> None:
    run = home.play("site.yml", "--check", "--diff")

    assert run.returncode == 0, run.stdout + run.stderr
    assert [path for path in LEFTOVERS if host.file(path).exists] == []
    assert not home.kubeconfig.exists()
