"""A run skips the tasks of the role microk8s that have no work to do, and runs only the others."""

import functools
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.rendering import ROOT, Role

TASKS = ROOT / "roles/microk8s/tasks"
CHANGES = ("prepare", "install", "join", "find_back", "apply", "certificates")
FINISHES = ("images", "verify_worker", "follow_host", "node", "users", "kubeconfig")
KUBECONFIG = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # of an empty one
MEMBER = {"node": "attic", "addresses": ["192.0.2.2"], "authority": "ours", "joining": False}
CLUSTER = {
    "member": {"node": "home", "address": "192.0.2.1", "authority": "ours"},
    "nodes": [
        {"name": "attic", "host": "attic", "ready": True, "address": "192.0.2.2", "calico": "192.0.2.2"}
    ],
}
INFO: dict[str, Any] = {
    "address": "192.0.2.1",
    "addresses": ["192.0.2.1", "192.0.2.2"],
    "datastore": "127.0.0.1",
    "encryption": {"keys": ["key-1"], "plain": False},
    "expiring": [],
    "kubelet": {"present": {}, "default": {}},
    "member": MEMBER | {"worker": True, "servers": ["192.0.2.1"]},
    "members": ["owner"],
    "snapd": "2.63",
    "snaps": {"microk8s": {"version": "v1.36.0", "channel": "1.36/stable", "held": True}},
    "stopped": False,
    "sysctl_later": {},
    "volumes_mode": "0700",
}
READY = {
    "missing_names": [],
    "calico_address": "192.0.2.1",
    "kubeconfig_sha256": KUBECONFIG,
    "node_object": {"metadata": {"labels": {}, "resourceVersion": "1"}, "spec": {}},
}


def _variables(host: str) -> dict[str, Any]:
    return {
        "_microk8s_channel": "1.36/stable",
        "_microk8s_cluster": CLUSTER,
        "_microk8s_encryption_name": "key-1",
        "_microk8s_own": {"member": INFO["member"]},
        "homeserver_bundle": "",
        "homeserver_control_plane": "home",
        "homeserver_kubeconfig": "/nowhere/kubeconfig",
        "inventory_hostname": host,
        "microk8s_users": ["owner"],
    }


@functools.cache
def _settled(host: str) -> dict[str, Any]:
    """Return the facts of a host that has all settings of the role."""
    role = Role("microk8s", Path("/nowhere"), _microk8s_info=INFO, **_variables(host))
    return INFO | {
        "applied": role.value("_microk8s_launch_text"),
        "kubelet": {"present": role.value("_microk8s_launch.extraKubeletArgs"), "default": {}},
        "sysctl": role.value("_microk8s_sysctl"),
        "sysctl_written": role.value("_microk8s_sysctl_text"),
        "upgrade": {},
        "written": role.value("_microk8s_launch_text"),
    }


def _role(
    state: Path,
    host: str = "home",
    ready: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    **info: Any,
) -> Role:
    """Return the role on a settled host of which some facts are different."""
    known = {"_microk8s_ready": READY | (ready or {}), "_microk8s_info": _settled(host) | info}
    return Role("microk8s", state, **_variables(host) | known | (options or {}))


def _wanted(role: Role, name: str) -> list[str]:
    return [task for task, wanted in role.value(name).items() if wanted]


@pytest.mark.parametrize(("host", "left"), [("home", []), ("attic", ["verify_worker", "node"])])
def test_without_a_change_nothing_is_changed(tmp_path: Path, host: str, left: list[str]) -> None:
    role = _role(tmp_path, host)

    assert _wanted(role, "_microk8s_to_change") == []
    assert _wanted(role, "_microk8s_to_finish") == left
    assert role.evaluated("{{ _microk8s_to_change.values() is any }}") is False


@pytest.mark.parametrize(
    ("host", "info", "tasks"),
    [
        ("home", {"snapd": ""}, ["prepare"]),
        ("home", {"written": "version: 0.1.0"}, ["prepare"]),
        ("home", {"sysctl": {}}, ["prepare"]),
        ("home", {"sysctl_written": ""}, ["prepare"]),
        ("home", {"encryption": {"keys": [], "plain": True}}, ["prepare"]),
        ("attic", {"encryption": {"keys": [], "plain": True}}, []),
        ("home", {"snaps": {"microk8s": {"version": "v1.35.4", "channel": "1.35/stable"}}}, ["install"]),
        ("home", {"snaps": {"microk8s": {"version": "v1.36.0", "channel": "1.36/stable"}}}, ["install"]),
        ("home", {"snaps": {}}, ["install", "apply"]),
        ("attic", {"member": INFO["member"] | {"joining": True}}, ["find_back"]),
        ("attic", {"member": INFO["member"] | {"servers": ["192.0.2.9"]}}, ["find_back"]),
        ("home", {"member": INFO["member"] | {"joining": True, "servers": []}}, []),
        ("home", {"stopped": True}, ["apply"]),
        ("home", {"applied": "version: 0.2.0"}, ["apply"]),
        ("home", {"volumes_mode": "0777"}, ["apply"]),
        ("home", {"datastore": "192.0.2.9"}, ["apply"]),
        ("home", {"expiring": ["kubelet"]}, ["certificates"]),
    ],
)
def test_a_change_is_a_reason_for_its_tasks_only(
    tmp_path: Path, host: str, info: dict[str, Any], tasks: list[str]
) -> None:
    role = _role(tmp_path, host, **info)

    assert _wanted(role, "_microk8s_to_change") == tasks
    assert role.evaluated("{{ _microk8s_to_change.values() is any }}") is bool(tasks)


def test_a_worker_that_the_cluster_does_not_know_joins(tmp_path: Path) -> None:
    role = _role(tmp_path, "shed")

    assert _wanted(role, "_microk8s_to_change") == ["join"]


@pytest.mark.parametrize(
    ("more", "tasks"),
    [
        ({"ready": {"missing_names": ["home.lan"]}}, ["follow_host"]),
        ({"ready": {"calico_address": "192.0.2.9"}}, ["follow_host"]),
        ({"options": {"microk8s_node_labels": {"room": "attic"}}}, ["node"]),
        ({"options": {"microk8s_images_there": {"waiting": ["app:1"]}}}, ["images"]),
        ({"members": []}, ["users"]),
        ({"ready": {"kubeconfig_sha256": "of another"}}, ["kubeconfig"]),
    ],
    ids=["name", "address", "label", "image", "user", "kubeconfig"],
)
def test_what_has_changed_since_is_finished(tmp_path: Path, more: dict[str, Any], tasks: list[str]) -> None:
    assert _wanted(_role(tmp_path, **more), "_microk8s_to_finish") == tasks


@pytest.mark.parametrize(
    ("file", "name", "names"),
    [("change", "_microk8s_to_change", CHANGES), ("finish", "_microk8s_to_finish", FINISHES)],
)
def test_every_reason_has_its_tasks(tmp_path: Path, file: str, name: str, names: tuple[str, ...]) -> None:
    tasks = yaml.safe_load((TASKS / f"{file}.yml").read_text())
    conditions = [task.get("when", f"{name}.users") for task in tasks]

    assert tuple(_role(tmp_path).value(name)) == names
    assert conditions == [f"{name}.{each}" for each in names]
