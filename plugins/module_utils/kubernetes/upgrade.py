"""Takes an upgrade of workloads with data back if they do not run: the objects before it, and the data.

The record of an upgrade is in the cluster from before anything is stopped until all is done. So the next run
finishes what an interrupted one has begun. An action of Ansible may outlive its killed run: each write of the
record shows whether another run has it now.
"""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .cluster import ApiError, Cluster
from .objects import (
    MANAGED_BY,
    MANAGER,
    Object,
    identity,
    rank,
    without_server_fields,
)
from .volumes import volume_hosts
from .waiting import ApplicationError, Waiting

STORAGE = Path("/var/snap/microk8s/common/default-storage")
"""The parent directory of the volumes that can be copied."""

COPYING, STARTING, TAKING_BACK, ACCEPTED = "copying", "starting", "taking back", "accepted"
"""The phases. The new version has not seen the data before the second, whose copies are complete."""

_ENDED = ("Succeeded", "Failed")
_KINDS = ("Deployment", "StatefulSet")
_NEVER_RESTORED = (
    "Namespace",
    "CustomResourceDefinition",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Job",
)
"""Kinds that stay as the new version has applied them: their removal loses data, or they ran already."""

Claim = tuple[str, str]
"""The namespace and the name of a claim."""


class Copier(NamedTuple):
    """What acts on the directories of volumes.

    Attributes:
        act: takes the name of a node (empty for the founder), an action, and the directories there. The
            actions are `check` whether there is room, `copy`, `restore` and `remove`.
        enabled: whether new upgrades are prepared for being taken back.
    """

    act: Callable[[str, str, list[str]], None]
    enabled: bool = True


class Change(NamedTuple):
    """An object that an upgrade changes."""

    before: Object | None
    wanted: Object


class Upgrade:
    """The upgrade of one application.

    Attributes:
        record: what is known about it; empty if there is none.
    """

    def __init__(self, cluster: Cluster, application: str, copier: Copier):
        """Read the record that an interrupted run left."""
        self._cluster = cluster
        self._application = application
        self._copier = copier
        # A Secret, because objects before the upgrade may be Secrets.
        self._secret: Object = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": f"homeserver-upgrade-{application.replace('_', '-')}",
                "namespace": "kube-system",
                "labels": {MANAGED_BY: MANAGER},
            },
        }
        found = cluster.get(self._secret)
        self.record: dict[str, Any] = _decoded(found["data"]["record"]) if found else {}
        self._version = str(found["metadata"].get("resourceVersion", "")) if found else ""

    @property
    def phase(self) -> str:
        """The phase in which it is, or was interrupted; empty if there is none."""
        return str(self.record.get("phase", ""))

    @property
    def workloads(self) -> list[str]:
        """The workloads that get other images, such as `StatefulSet monitoring/prometheus`."""
        return list(self.record.get("to", ()))

    def begin(self, changes: Iterable[Change], pruned: Iterable[Object]) -> bool:
        """Record the state before an upgrade; return whether it is one of a workload with data in one pod.

        Args:
            changes: what will be applied.
            pruned: the objects that will be deleted.

        Raises:
            ApplicationError: its volumes cannot be copied. Nothing was changed.
        """
        changes = list(changes)
        upgraded = [change for change in changes if _is_upgrade(change)] if self._copier.enabled else []
        claims = {claim for change in upgraded for claim in claims_of(change.wanted, change.before)}
        volumes = self._volumes(claims)
        if not volumes:
            return False
        before = [change.before for change in changes if change.before]
        before += [
            obj for obj in (*pruned, *self._users(claims)) if identity(obj) not in map(identity, before)
        ]
        self.record = {
            "phase": COPYING,
            "to": images_of(change.wanted for change in upgraded),
            "from": images_of(change.before for change in upgraded if change.before),
            "claims": sorted(claims),
            "volumes": volumes,
            "before": [
                without_server_fields(obj)
                for obj in sorted(before, key=rank)
                if obj["kind"] not in _NEVER_RESTORED
            ],
            "created": [
                {key: change.wanted[key] for key in ("apiVersion", "kind")}
                | {"metadata": {key: change.wanted["metadata"].get(key) for key in ("namespace", "name")}}
                for change in changes
                if not change.before and change.wanted["kind"] not in _NEVER_RESTORED
            ],
        }
        try:
            self._act("check")
        except ApplicationError:
            self.record = {}
            raise
        return True

    def go_on(self) -> None:
        """Take over what another run has begun. If that still works, it notices and ends.

        Raises:
            ApiError: a third one was faster.
        """
        self._write(self.phase)

    def goes_to(self, objects: Iterable[Object]) -> bool:
        """Return whether it is to the images that these objects have."""
        wanted = images_of(objects)
        return all(wanted.get(name) == images for name, images in self.record["to"].items())

    def copy(self, wait: Waiting) -> None:
        """Stop what uses the volumes, and copy them.

        Raises:
            ApplicationError: a pod does not end, or a volume cannot be copied.
        """
        self._write(COPYING)
        self._act("remove")
        self._stop(wait)
        self._act("copy")
        self.record["stopped"] = time.time()
        self._write(STARTING)

    def bring_back(self, why: str, wait: Waiting) -> list[Object]:
        """Stop the new version and bring the former data back; return the objects to apply.

        A repetition after an interruption continues.

        Raises:
            ApplicationError: a pod does not end, or a volume cannot be brought back.
        """
        self.record["why"] = self.record.get("why", why)
        self._write(TAKING_BACK)
        self._stop(wait)
        if "stopped" in self.record:
            self.record.setdefault("lost", time.time() - self.record["stopped"])
            self._write(TAKING_BACK)
            self._act("restore")
        return list(self.record["before"])

    def created(self) -> list[Object]:
        """Return the objects that only the new version has."""
        found = map(self._cluster.get, self.record["created"])
        return sorted(filter(None, found), key=rank, reverse=True)

    def accept(self) -> None:
        """Remove the copies of an upgrade that has succeeded."""
        self._write(ACCEPTED)
        self.end()

    def end(self) -> None:
        """Remove copies and record."""
        self._act("remove")
        # It must not go later, when the same run may have begun another one.
        self._cluster.delete(self._secret, at_once=True)
        self.record, self._version = {}, ""

    def told(self, trouble: str) -> str:
        """Return what to tell an owner after it was taken back.

        Args:
            trouble: why the former version does not run either; empty if it does.
        """
        versions = (
            f"{name}: {' '.join(dict.fromkeys(images))} -> {' '.join(dict.fromkeys(self.record['to'][name]))}"
            for name, images in self.record["from"].items()
        )
        lines = [f"the upgrade of {self._application} was taken back:", *(f"  {each}" for each in versions)]
        lines += ["because:", *(f"  {line}" for line in self.record["why"].splitlines())]
        if "stopped" in self.record:
            at = time.strftime("%H:%M:%S", time.localtime(self.record["stopped"]))
            lost = f"{self.record['lost']:.0f} s"
            data = f"with its data of {at}. What was written in the {lost} after that is lost"
        else:
            data = "with its data, which nothing else has used"
        lines.append(f"The former version is back {data}.")
        if trouble:
            lines += ["It does not run either:", *(f"  {line}" for line in trouble.splitlines())]
        return "\n".join(
            [
                *lines,
                "-> run it again to try again; to stay with the former version, name its image in"
                " homeserver_version_overrides: docs/upgrade.md#other-parts",
            ]
        )

    def _write(self, phase: str) -> None:
        self.record["phase"] = phase
        data = base64.b64encode(gzip.compress(json.dumps(self.record).encode())).decode()
        metadata = self._secret["metadata"] | ({"resourceVersion": self._version} if self._version else {})
        try:
            written = self._cluster.apply(
                {**self._secret, "metadata": metadata, "data": {"record": data}}, dry_run=False
            )
        except ApiError as error:
            if error.status != 409:
                raise
            said = f"another run upgrades {self._application} -> run it again when that has ended"
            raise ApiError(409, "", said) from error
        self._version = str(written["metadata"].get("resourceVersion", ""))

    def _act(self, action: str) -> None:
        for node, directories in self.record["volumes"].items():
            self._copier.act(node, action, directories)

    def _stop(self, wait: Waiting) -> None:
        """Stop all pods that use the volumes."""
        claims = {(namespace, name) for namespace, name in self.record["claims"]}
        for workload in self._users(claims):
            self._cluster.scale(workload, 0)
        while pods := list(self._pods(claims)):
            wait.gone(pods)

    def _users(self, claims: set[Claim]) -> list[Object]:
        """Return the workloads whose pods use some of these claims."""
        found = self._cluster.of_application(
            self._application, kinds={f"{kind}.apps" for kind in _KINDS}
        ).values()
        return [obj for obj in found if obj["kind"] in _KINDS and claims & claims_of(obj)]

    def _pods(self, claims: set[Claim]) -> Iterator[Object]:
        for namespace in {namespace for namespace, _ in claims}:
            for pod in self._cluster.pods(namespace):
                used = {(namespace, name) for name in _claims(pod["spec"])}
                if used & claims and (pod.get("status") or {}).get("phase") not in _ENDED:
                    yield pod

    def _volumes(self, claims: set[Claim]) -> dict[str, list[str]]:
        """Return the directories of the claims' volumes by node. A claim without one has no data yet."""
        found: dict[str, list[str]] = {}
        for volume in self._cluster.find("v1", "PersistentVolume") if claims else ():
            spec = volume["spec"]
            about = spec.get("claimRef") or {}
            claim = (about.get("namespace"), about.get("name"))
            if claim not in claims or (volume.get("status") or {}).get("phase") != "Bound":
                continue
            path = Path((spec.get("hostPath") or {}).get("path", "/"))
            if path.parent == STORAGE:
                found.setdefault(next(iter(volume_hosts(volume)), ""), []).append(str(path))
            else:
                self._cluster.warnings.append(
                    f"PersistentVolumeClaim {'/'.join(claim)} is upgraded without a copy of its data, which"
                    f" are no directory in {STORAGE}"
                )
        return {node: sorted(paths) for node, paths in sorted(found.items())}


def images_of(workloads: Iterable[Object]) -> dict[str, list[str]]:
    """Return the images of workloads, by what they are called."""
    return {str(identity(obj)): _images(obj) for obj in workloads if obj["kind"] in _KINDS}


def claims_of(*workloads: Object | None) -> set[Claim]:
    """Return the claims that the pods of workloads use; of a StatefulSet's own, those of the first."""
    found: set[Claim] = set()
    for obj in filter(None, workloads):
        namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        found |= {(namespace, claim) for claim in _claims(obj["spec"]["template"]["spec"])}
        own = obj["spec"].get("volumeClaimTemplates") or []
        found |= {(namespace, f"{each['metadata']['name']}-{name}-0") for each in own}
    return found


def _claims(pod: Object) -> set[str]:
    volumes = pod.get("volumes") or []
    return {each["persistentVolumeClaim"]["claimName"] for each in volumes if "persistentVolumeClaim" in each}


def _images(workload: Object) -> list[str]:
    pod = workload["spec"]["template"]["spec"]
    return [each["image"] for kind in ("initContainers", "containers") for each in pod.get(kind) or []]


def _is_upgrade(change: Change) -> bool:
    """Return whether a workload with one pod gets other images. A first digest is no other image."""
    wanted, before = change.wanted, change.before
    if not before or wanted["kind"] not in _KINDS or wanted["spec"].get("replicas", 1) != 1:
        return False
    if before["spec"].get("replicas", 1) > 1:
        return False
    old, new = _images(before), _images(wanted)
    return len(old) != len(new) or not all(map(_is_same, old, new))


def _is_same(old: str, new: str) -> bool:
    return old == new or (old.partition("@")[0] == new.partition("@")[0] and not ("@" in old and "@" in new))


def _decoded(data: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(data)))
    return found
