"""A part of the home with data, in a cluster that is a dictionary, with a real volume; its power may fail."""

import copy
import itertools
import time
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils import volume_copies
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes import upgrade, waiting
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.application import Application
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.cluster import (
    ApiError,
    Cluster,
    Kind,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import (
    Identity,
    Object,
    identity,
    kind_of,
    owner_application,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.upgrade import Copier
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.waiting import ApplicationError
from ansible_collections.homeserver.stack.plugins.modules.volume_copies import COPIES

from harness.update_program import Power

OLD, NEW, NEWER = (f"registry.example.org/db:{version}" for version in (1, 2, 3))
WORKLOAD = Identity("apps", "StatefulSet", "demo", "db")
_NODE, _CLAIM = "attic", "db"
_APPLIED = [{"manager": "homeserver", "operation": "Apply"}]


class Clock:
    """Time that only passes by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.strftime, self.localtime, self.time = time.strftime, time.localtime, lambda: self.now

    def monotonic(self) -> float:
        """Return the seconds since some moment."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def an_object(kind: str, name: str, **more: Any) -> Object:
    """Return an object of the part."""
    version = "apps/v1" if kind == "StatefulSet" else "v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "demo"}, **more}


def _number(image: str) -> str:
    return image.partition("@")[0][-1]


def wanted(image: str, replicas: int = 1) -> list[Object]:
    """Return the objects of a version: each has its settings, and an object that no other has."""
    claim = {"persistentVolumeClaim": {"claimName": _CLAIM}}
    container = {"name": "db", "image": image, "readinessProbe": {}}
    template = {"spec": {"containers": [container], "volumes": [{"name": "data", **claim}]}}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}},
        an_object("PersistentVolumeClaim", _CLAIM, spec={}),
        an_object("ConfigMap", "settings", data={"for": image}),
        an_object("ConfigMap", f"only-{_number(image)}"),
        an_object(
            "StatefulSet", "db", spec={"replicas": replicas, "serviceName": "db", "template": template}
        ),
    ]


class Part:
    """A part with one pod, whose version 1 runs.

    Attributes:
        power: what may fail.
        broken: the images that spoil the data as they start, and never get ready.
        failing: the images that are ready for ten seconds only.
        readable: what is in the data that any version can read.
        clock: its time.
        copies: the directory of copies.
        refused: the actions on volumes that are not possible.
        warnings: what the run warns of.
        said: what the run says.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.power = Power()
        self.broken: set[str] = set()
        self.failing: set[str] = set()
        self.readable = {"old"}
        self.refused: set[str] = set()
        self.warnings: list[str] = []
        self.said: list[str] = []
        self.objects: dict[Identity, Object] = {}
        self.volume = root / "demo-db-pvc-1"
        self.volume.mkdir()
        (self.volume / "rows").write_text("old")
        self.copies = root / COPIES
        self._uids = itertools.count(1)
        self.clock = Clock()
        monkeypatch.setattr(waiting, "time", self.clock)
        monkeypatch.setattr(upgrade, "time", self.clock)
        monkeypatch.setattr(upgrade, "STORAGE", root)
        self._pod: Object | None = None
        self.run(OLD)
        self.power.effects.clear()

    def run(
        self, image: str, *, enabled: bool = True, check_mode: bool = False, replicas: int = 1
    ) -> list[str]:
        """Apply a version, and return what changed.

        Raises:
            ApplicationError: it does not run.
        """
        application = self._application(enabled=enabled, check_mode=check_mode)
        application.present(wanted(image, replicas), prove=self.prove)
        outcome = application.outcome
        return [*outcome.created, *outcome.updated, *outcome.deleted]

    def refuses(self, image: str) -> str:
        """Apply a version that does not run, and return why."""
        with pytest.raises(ApplicationError) as caught:
            self.run(image)
        return str(caught.value)

    def remove(self) -> None:
        """Delete all objects, with the data."""
        self._application().absent()

    def _application(self, *, enabled: bool = True, check_mode: bool = False) -> Application:
        copier = Copier(self._act, enabled=enabled)
        return Application(
            cast(Cluster, self),
            "demo",
            timeout=60,
            check_mode=check_mode,
            say=self.said.append,
            copier=copier,
        )

    def prove(self, _changed: bool) -> None:
        """Find nothing wrong."""

    @property
    def rows(self) -> str:
        """The data."""
        return (self.volume / "rows").read_text()

    def state(self) -> str:
        """Return which version runs, in all objects and data alike, with nothing left of an upgrade."""
        assert not self.copies.exists()
        assert not [key for key in self.objects if key.kind == "Secret"]
        image = self._image(self.objects[WORKLOAD])
        assert self._pod
        assert (self._image(self._pod), self._status()["availableReplicas"]) == (image, 1)
        names = {key.name for key in self.objects if key.kind == "ConfigMap" and key.namespace == "demo"}
        assert names == {"settings", f"only-{_number(image)}"}, names
        assert self.objects[Identity("", "ConfigMap", "demo", "settings")]["data"] == {"for": image}
        assert self.rows == ("old" if image == OLD else image)
        return image

    # ---- what happens on the machine of the volume

    def _act(self, node: str, action: str, directories: list[str]) -> None:
        assert (node, directories) == (_NODE, [str(self.volume)])
        if action in self.refused:
            raise ApplicationError(f"{action}: the disk fails")
        if action == "check":
            return
        self.power.spend(action)
        if action in ("copy", "restore"):
            assert self._pod is None, "the data are used while they are moved"
        if action == "copy":
            volume_copies.copy(self.volume, self.copies)
        elif action == "restore":
            volume_copies.bring_back(self.volume, self.copies)
        else:
            volume_copies.remove_of([self.volume], self.copies)

    # ---- the cluster

    def kind(self, obj: Object) -> Kind:
        """Return a kind that is served."""
        namespaced = obj["kind"] != "Namespace"
        return Kind(obj["apiVersion"], obj["kind"], obj["kind"], namespaced, frozenset())

    def get(self, obj: Object) -> Object | None:
        """Return an object as it is."""
        found = self.objects.get(identity(obj))
        if found and identity(obj) == WORKLOAD:
            return found | {"status": self._status()}
        return found

    def apply(self, obj: Object, *, dry_run: bool) -> Object:
        """Apply an object, as its only author."""
        before = self.objects.get(identity(obj))
        version = (before or {"metadata": {}})["metadata"].get("resourceVersion")
        if obj["metadata"].get("resourceVersion", version) != version:
            raise ApiError(409, "Conflict", "the object has been modified")
        applied = copy.deepcopy(obj)
        applied["metadata"] |= {"uid": before["metadata"]["uid"] if before else str(next(self._uids))}
        applied["metadata"] |= {"managedFields": _APPLIED, "resourceVersion": str(next(self._uids))}
        if not dry_run:
            phase = f" {obj['metadata']['name']}" if obj["kind"] == "Secret" else ""
            self.power.spend(f"apply {identity(obj)}{phase}")
            self.objects[identity(obj)] = applied
            self._reconcile()
        return applied

    def scale(self, workload: Object, replicas: int) -> None:
        """Give a workload another number of pods."""
        self.power.spend(f"scale to {replicas}")
        self.objects[identity(workload)]["spec"]["replicas"] = replicas
        self._reconcile()

    def delete(self, obj: Object, *, at_once: bool = False) -> None:
        """Delete an object."""
        assert at_once == (obj["kind"] == "Secret")
        self.power.spend(f"delete {identity(obj)}")
        self.objects.pop(identity(obj), None)
        self._reconcile()

    def of_application(
        self, application: str, objects: Iterable[Object] = (), kinds: Container[str] | None = None
    ) -> dict[Identity, Object]:
        """Return the objects of an application."""
        more = set(map(kind_of, objects))
        return {
            key: copy.deepcopy(obj)
            for key, obj in self.objects.items()
            if owner_application(obj) == application
            and (kinds is None or kind_of(obj) in kinds or kind_of(obj) in more)
        }

    def find(self, _version: str, kind: str) -> Iterator[Object]:
        """Return the volume."""
        assert kind == "PersistentVolume"
        rule = {"key": "kubernetes.io/hostname", "operator": "In", "values": [_NODE]}
        yield {
            "metadata": {"name": "pvc-1"},
            "spec": {
                "claimRef": {"namespace": "demo", "name": _CLAIM},
                "hostPath": {"path": str(self.volume)},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}},
            },
            "status": {"phase": "Bound"},
        }

    def pods(self, _namespace: str) -> list[Object]:
        """Return the pod, if it is there."""
        return [self._pod] if self._pod else []

    def nodes(self) -> list[Object]:
        """Return no node."""
        return []

    def events(self, _namespace: str, _field_selector: str) -> list[Object]:
        """Return no event."""
        return []

    def warnings_about(self, _namespace: str, _name: str) -> list[str]:
        """Return no warning."""
        return []

    def log(self, _pod: Object, _container: str, *, previous: bool) -> list[str]:  # noqa: ARG002
        """Return the last words of the pod."""
        return ["the migration failed"]

    def _image(self, obj: Object) -> str:
        spec = obj["spec"].get("template", obj)["spec"]
        return str(spec["containers"][0]["image"])

    def _status(self) -> Object:
        if self._pod and self._image(self._pod) in self.failing and self.clock.now > self._began + 10:
            self._pod["status"]["containerStatuses"][0]["ready"] = False
        there = int(self._pod is not None)
        ready = int(bool(self._pod and self._pod["status"]["containerStatuses"][0]["ready"]))
        counts = dict.fromkeys(("replicas", "updatedReplicas"), there)
        return {**counts, "availableReplicas": ready, "observedGeneration": 9}

    def _reconcile(self) -> None:
        """Run the pod that the workload wants."""
        workload = self.objects.get(WORKLOAD)
        template = workload["spec"]["template"] if workload and workload["spec"]["replicas"] else None
        if self._pod and (not template or template["spec"] != self._pod["spec"]):
            self._pod = None
        if template and not self._pod:
            self._pod = self._started(template)

    def _started(self, template: Object) -> Object:
        image = self._image({"spec": {"template": template}})
        assert self.volume.is_dir(), "a pod starts without its data"
        if _number(image) == _number(OLD):
            assert self.rows == "old", "the old version starts with new data"
        else:
            assert self.rows in {*self.readable, image}, "a version starts with data of another one"
            (self.volume / "rows").write_text("spoilt" if image in self.broken else image)
        ready = image not in self.broken
        self._began = self.clock.now
        container = {"name": "db", "image": image, "ready": ready, "restartCount": 0}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "db-0", "namespace": "demo", "uid": str(next(self._uids))}
            | {"annotations": template["metadata"]["annotations"]},
            "spec": template["spec"],
            "status": {"phase": "Running", "containerStatuses": [container | {"state": {"running": {}}}]},
        }
