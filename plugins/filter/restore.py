"""Filters that plan the restore of volumes and objects from a backup."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.homeserver.stack.plugins.module_utils.backup.keys import (
    machine_location,
    machine_password,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import (
    Object,
    rank,
    without_server_fields,
)

STORAGE = "/var/snap/microk8s/common/default-storage"
REPLICAS = "homeserver.stack/restored"
"""Annotation of a workload that a restore has stopped, with its original spec."""

_CLASS = "microk8s-hostpath"
_PROVISIONER = "microk8s.io/hostpath"
_BOUND = "pv.kubernetes.io/"
_FOR_SERVER = ("finalizers", "ownerReferences")


def restored_volumes(
    volumes: Iterable[Mapping[str, Any]],
    machines: Iterable[Mapping[str, Any]],
    present: Iterable[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return where each saved volume is restored.

    Args:
        volumes: the saved volumes, each with `volume`, `namespace`, `claim`, `node`, `path` and so on.
        machines: the `name` and the present `node` of each, and of its backup the `id`, the `time`, the
            `directories`, the `copies`, and whether it is in the former `shared` repository.
        present: the `name`, `claim`, `node` and `path` of each volume that the cluster has now.

    Returns:
        The volumes with saved data. If the claim exists, its present volume is filled.
    """
    live = {each["claim"]: each for each in present}
    known = list(machines)
    names = {each["node"]: each["name"] for each in known}
    placed = [
        _placed(saved, machine, live)
        for saved in volumes
        if (machine := next((each for each in known if _has(each, saved)), None))
    ]
    return [{**each, "machine": names.get(each["node"], "")} for each in placed]


def _has(machine: Mapping[str, Any], saved: Mapping[str, Any]) -> bool:
    return _directory(saved) in machine["directories"] or saved["volume"] in machine["copies"]


def _directory(saved: Mapping[str, Any]) -> str:
    return str(saved["path"]).rstrip("/").rpartition("/")[2]


def _placed(
    saved: Mapping[str, Any], machine: Mapping[str, Any], live: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    claim = f"{saved['namespace']}/{saved['claim']}"
    now = live.get(claim)
    return {
        **saved,
        "claim": claim,
        "source": saved["path"],
        "path": now["path"] if now else f"{STORAGE}/{_directory(saved)}",
        "node": now["node"] if now else machine["node"],
        "id": machine["id"],
        "time": machine["time"],
        "saved_by": machine["name"],
        "shared": machine.get("shared", False),
        "is_new": now is None,
    }


def filled_on(
    placed: Iterable[Mapping[str, Any]], machine: str, location: str, master: str
) -> list[dict[str, str]]:
    """Return the volumes that a machine fills, in the format of the module backup_volumes.

    Volumes that another machine saved include its repository.
    """
    keys = ("claim", "source", "path", "id", "time")
    return [
        {
            "name": each["volume"],
            **{key: each[key] for key in keys},
            **({} if each["saved_by"] == machine else read_from(each, each["saved_by"], location, master)),
        }
        for each in placed
        if each["machine"] == machine
    ]


def read_from(save: Mapping[str, Any], machine: str, location: str, master: str) -> dict[str, str]:
    """Return the `location` and the `password` of the repository with the backup of a machine.

    Args:
        save: the backup, and whether it is in the former `shared` repository of all machines.
        machine: its name.
        location: the directory of the repositories of all machines.
        master: the password of all backups.
    """
    if save.get("shared"):
        return {"location": location, "password": master}
    return {"location": machine_location(location, machine), "password": machine_password(master, machine)}


def unrestored(
    volumes: Iterable[Mapping[str, Any]], placed: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the nodes without a backup, each with the `claims` whose data it had.

    A single volume may be excluded from a backup on purpose.
    """
    saved = list(volumes)
    names = {each["volume"] for each in placed}
    found = {each["node"] for each in saved if each["volume"] in names}
    lost = sorted({each["node"] for each in saved} - found)
    return [
        {"node": node, "claims": [_claim(each) for each in saved if each["node"] == node]} for node in lost
    ]


def _claim(saved: Mapping[str, Any]) -> str:
    return f"{saved['namespace']}/{saved['claim']}"


def persistent_volumes(placed: Iterable[Mapping[str, Any]]) -> list[Object]:
    """Return the PersistentVolumes that must exist before their claims."""
    return [_persistent_volume(each) for each in placed if each["is_new"]]


def _persistent_volume(placed: Mapping[str, Any]) -> Object:
    namespace, _, name = placed["claim"].partition("/")
    node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [placed["node"]]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        # MicroK8s deletes the directory with the claim, as for volumes that it created itself.
        "metadata": {"name": placed["volume"], "annotations": {f"{_BOUND}provisioned-by": _PROVISIONER}},
        "spec": {
            "capacity": {"storage": placed["capacity"]},
            "accessModes": placed["access_modes"],
            "storageClassName": placed.get("storage_class") or _CLASS,
            "persistentVolumeReclaimPolicy": "Delete",
            "hostPath": {"path": placed["path"], "type": "DirectoryOrCreate"},
            # Without a uid, because the claim does not exist yet.
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": namespace,
                "name": name,
            },
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [node]}]}},
        },
    }


def claims_of(workloads: Iterable[Object], app: str) -> list[str]:
    """Return the claims of the workloads with a name, and of the rest of their stacks, as namespace/name.

    Args:
        workloads: Deployments, StatefulSets, DaemonSets and CronJobs.
        app: a name, or namespace/name.
    """
    known = list(workloads)
    namespace, _, name = app.rpartition("/")
    groups = {
        _group(each)
        for each in known
        if _app(each) == name and namespace in ("", each["metadata"]["namespace"])
    }
    return sorted({claim for each in known if _group(each) in groups for claim in _claims(each)})


def apps_with_volumes(workloads: Iterable[Object]) -> list[str]:
    """Return the names of the workloads that have claims, as namespace/name."""
    return sorted(
        {f"{each['metadata']['namespace']}/{_app(each)}" for each in workloads if any(_claims(each))}
    )


def _app(workload: Object) -> str:
    labels = workload["metadata"].get("labels") or {}
    return str(labels.get("app.kubernetes.io/name") or workload["metadata"]["name"])


def _group(workload: Object) -> tuple[str, str, str]:
    """Return what workloads have in common whose data belong together: their stack, or else their app."""
    labels = (_template(workload).get("metadata") or {}).get("labels") or {}
    stack = str(labels.get("homeserver.stack/stack", ""))
    return workload["metadata"]["namespace"], stack, "" if stack else _app(workload)


def stopping(workloads: Iterable[Object], claims: Iterable[str]) -> list[Object]:
    """Return the patches that stop the workloads that use one of the claims, and the rest of their stacks.

    Args:
        workloads: Deployments, StatefulSets and CronJobs.
        claims: claims, as namespace/name.
    """
    known, wanted = list(workloads), set(claims)
    groups = {_group(each) for each in known if wanted.intersection(_claims(each))}
    return [
        _patch(workload, {**_still(workload), "annotation": _former_spec(workload)})
        for workload in known
        if _group(workload) in groups and not _is_stopped(workload)
    ]


def _is_stopped(workload: Object) -> bool:
    """Return whether a workload was stopped, and nothing has started it since."""
    still = all(workload["spec"].get(key) == value for key, value in _still(workload)["spec"].items())
    return still and REPLICAS in _annotations(workload)


def _former_spec(workload: Object) -> str:
    """Return what a workload had before it was first stopped."""
    return _annotations(workload).get(REPLICAS) or json.dumps(_spec(workload))


def starting(workloads: Iterable[Object]) -> list[Object]:
    """Return the patches that restart the workloads that a restore has stopped."""
    return [
        _patch(workload, {"spec": json.loads(_annotations(workload)[REPLICAS]), "annotation": None})
        for workload in workloads
        if REPLICAS in _annotations(workload)
    ]


def _annotations(workload: Object) -> Mapping[str, str]:
    return workload["metadata"].get("annotations") or {}


def _still(workload: Object) -> Object:
    return {"spec": {"suspend": True} if workload["kind"] == "CronJob" else {"replicas": 0}}


def _spec(workload: Object) -> Object:
    spec = workload["spec"]
    if workload["kind"] == "CronJob":
        return {"suspend": spec.get("suspend", False)}
    return {"replicas": spec.get("replicas", 1)}


def _patch(workload: Object, change: Mapping[str, Any]) -> Object:
    metadata = {key: workload["metadata"][key] for key in ("name", "namespace")}
    return {
        "apiVersion": workload["apiVersion"],
        "kind": workload["kind"],
        "metadata": {**metadata, "annotations": {REPLICAS: change["annotation"]}},
        "spec": change["spec"],
    }


def _template(workload: Object) -> Object:
    """Return the template of a workload's pods; nothing of a pod."""
    spec = (workload["spec"].get("jobTemplate") or {}).get("spec") or workload["spec"]
    found: Object = spec.get("template") or {}
    return found


def _claims(workload: Object) -> Iterator[str]:
    """Return the claims of a workload or a pod, as namespace/name."""
    metadata, spec = workload["metadata"], workload["spec"]
    pod = _template(workload).get("spec") or spec
    for volume in pod.get("volumes") or []:
        if claim := (volume.get("persistentVolumeClaim") or {}).get("claimName"):
            yield f"{metadata['namespace']}/{claim}"
    for template in spec.get("volumeClaimTemplates") or []:
        for number in range(spec.get("replicas", 1) or _former(workload)):
            yield f"{metadata['namespace']}/{template['metadata']['name']}-{metadata['name']}-{number}"


def _former(workload: Object) -> int:
    """Return how many replicas a workload had before it was stopped."""
    former = json.loads(_annotations(workload).get(REPLICAS, "{}"))
    return int(former.get("replicas", 0))


def users_of(pods: Iterable[Object], claims: Iterable[str]) -> list[str]:
    """Return the pods, as namespace/name, that use one of the claims and have not ended."""
    wanted = set(claims)
    return [
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in pods
        if wanted.intersection(_claims(pod))
        and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    ]


def restored_objects(objects: Iterable[Object]) -> list[Object]:
    """Return objects in a form and an order in which another cluster can create them.

    This includes their namespaces, even if those were not saved.
    """
    given = [_cleaned(obj) for obj in objects if not _is_made_by_cluster(obj)]
    there = {obj["metadata"]["name"] for obj in given if obj["kind"] == "Namespace"}
    homes = {obj["metadata"].get("namespace", "") for obj in given} - there - {""}
    spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(homes)]
    return sorted([*spaces, *given], key=rank)


def _is_made_by_cluster(obj: Object) -> bool:
    """Return whether another cluster creates its own version of an object."""
    name = obj["metadata"]["name"]
    if obj["kind"] == "Secret":
        return obj.get("type") == "kubernetes.io/service-account-token"
    return (obj["kind"], name) in (("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default"))


def _cleaned(obj: Object) -> Object:
    """Return an object without fields that only had a meaning in its old cluster."""
    cleaned = without_server_fields(obj)
    metadata = {key: value for key, value in cleaned["metadata"].items() if key not in _FOR_SERVER}
    spec = dict(cleaned.get("spec") or {})
    if obj["kind"] == "PersistentVolumeClaim":
        notes = metadata.get("annotations") or {}
        metadata["annotations"] = {k: v for k, v in notes.items() if not k.startswith(_BOUND)}
        spec.pop("volumeName", None)
    if obj["kind"] == "Service" and spec.get("clusterIP") != "None":
        spec = {key: value for key, value in spec.items() if key not in ("clusterIP", "clusterIPs")}
    return {**cleaned, "metadata": metadata, **({"spec": spec} if "spec" in cleaned else {})}


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "apps_with_volumes": apps_with_volumes,
            "claims_of": claims_of,
            "filled_on": filled_on,
            "persistent_volumes": persistent_volumes,
            "read_from": read_from,
            "restored_objects": restored_objects,
            "restored_volumes": restored_volumes,
            "starting": starting,
            "stopping": stopping,
            "unrestored": unrestored,
            "users_of": users_of,
        }
