"""Everything is removed, down to the bare host, and can be installed again."""

import re
import socket
from typing import Any

import pytest
from testinfra.host import Host

from harness.home import Home, Kubectl, eventually
from harness.leftovers import left_behind

OF_LOGS = (
    "/etc/systemd/system/homeserver-journal.service",
    "/usr/local/lib/homeserver-journal.py",
    "/var/lib/homeserver-filebeat",
    "/var/log/homeserver-journal",
)
VOLUMES = "/var/snap/microk8s/common/default-storage"
KEPT = "/var/snap/homeserver-volumes"


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
def page(host: Host, home: Home, kubectl: Kubectl) -> str:
    """A page in the volume of an app, whose claim is gone; where it is in the directory of volumes."""
    images = kubectl.get("nodes")["items"][0]["status"]["images"]
    pause = next(name for image in images for name in image["names"] if "/pause:" in name)
    container = {"name": "c", "image": pause, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "wiki"}}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    metadata = {"name": "wiki", "namespace": "default"}
    kubectl.apply(
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"containers": [container], "volumes": [volume], "terminationGracePeriodSeconds": 0},
        },
    )
    kubectl("wait pod/wiki --for=condition=Ready --timeout=120s")
    (directory,) = host.check_output(f"ls -d {VOLUMES}/default-wiki-pvc-*").splitlines()
    host.check_output(f"echo precious > {directory}/page")
    run = home.play("playbooks/stages/keep_volumes.yml")
    assert run.returncode == 0, run.stdout + run.stderr
    kubectl("delete pod/wiki persistentvolumeclaim/wiki")
    return f"{directory.removeprefix(VOLUMES)}/page"


def test_a_volume_outlives_its_claim(host: Host, kubectl: Kubectl, page: str) -> None:
    def released() -> list[str]:
        volumes = kubectl.get("persistentvolumes")["items"]
        return [volume["spec"]["persistentVolumeReclaimPolicy"] for volume in volumes if _is_released(volume)]

    assert eventually(lambda: released() == ["Retain"], seconds=30)
    assert host.file(f"{VOLUMES}/{page}").content_string == "precious\n"


def _is_released(volume: dict[str, Any]) -> bool:
    return bool(volume["status"]["phase"] == "Released")


@pytest.fixture(scope="module")
def removed(host: Host, home: Home, page: str) -> str:
    """Remove everything, with a process of a pod that the snap's removal does not find; return the page."""
    host.check_output(
        "systemd-run --collect --unit=survivor sleep infinity"
        " && group=$(find /sys/fs/cgroup -maxdepth 2 -name 'kubepods*' | head -1)/survivor && mkdir $group"
        " && systemctl show --property=MainPID --value survivor >$group/cgroup.procs"
    )
    run = home.play("playbooks/reset.yml", "-e", f"microk8s_confirm_removal={home.name}")
    assert run.returncode == 0, run.stdout + run.stderr
    return page


def test_the_volumes_are_kept(host: Host, removed: str) -> None:
    assert host.check_output(f"cat {KEPT}/*/{removed}") == "precious"
    assert host.file(KEPT).mode == 0o700


@pytest.mark.usefixtures("removed")
def test_the_host_is_in_its_original_state(home: Home, host: Host) -> None:
    assert left_behind(host) == []
    assert not home.kubeconfig.exists()


@pytest.mark.usefixtures("removed")
def test_a_second_removal_changes_nothing(home: Home) -> None:
    confirmed = f"microk8s_confirm_removal={home.name}"
    run = home.play("playbooks/reset.yml", "-e", confirmed, "-e", "volumes=delete")

    assert run.returncode == 0, run.stdout + run.stderr
    assert set(re.findall(r"changed=(\d+)", run.stdout)) == {"0"}, run.stdout


@pytest.mark.usefixtures("removed")
def test_a_dry_run_on_the_bare_host_changes_nothing(home: Home, host: Host) -> None:
    run = home.play("site.yml", "--check", "--diff")

    assert run.returncode == 0, run.stdout + run.stderr
    assert left_behind(host) == []
    assert not home.kubeconfig.exists()
