"""An application in a cluster: applied as a whole, waited for, pruned, and taken away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from .kubernetes_cluster import Cluster, RefusedError
from .kubernetes_objects import (
    FOUNDATIONS,
    HOLDING_MORE,
    WORKLOADS,
    Identity,
    Object,
    described,
    difference,
    identity,
    is_ours,
    owner_application,
    prepare,
    rank,
    template_hash,
)
from .kubernetes_waiting import ApplicationError, Waiting


@dataclass
class Outcome:
    """What a run did, or in check mode would do."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)


class _Step(NamedTuple):
    """One object, as it is and as it will be."""

    wanted: Object
    before: Object | None
    after: Object

    def is_needed(self) -> bool:
        return self.before is None or described(self.before) != described(self.after)


class Application:
    """Everything in one cluster that carries the labels of one application."""

    def __init__(self, cluster: Cluster, name: str, *, timeout: float, check_mode: bool):
        """Name an application.

        Args:
            cluster: where it lives.
            name: value of the label app.kubernetes.io/part-of.
            timeout: seconds for all waiting together.
            check_mode: change nothing, let the API server say what it would do.
        """
        self._cluster = cluster
        self._name = name
        self._check_mode = check_mode
        self._wait = Waiting(cluster, timeout)
        self._changed: set[Identity] = set()
        self.outcome = Outcome()

    def present(self, definitions: Iterable[Object], *, partial: bool = False) -> None:
        """Apply all objects, delete what is no longer among them, wait until what was applied runs.

        Nothing but namespaces and CRDs is applied before the API server has accepted every object.

        Args:
            definitions: the objects.
            partial: these are only a part of the application; nothing is deleted, no workload waited for.

        Raises:
            ManifestError: an object is wrong in itself.
            ApplicationError: an object was refused, or does not run.
        """
        objects = prepare(self._name, definitions)
        live = self._live(objects)
        foundations = [obj for obj in objects if obj["kind"] in FOUNDATIONS]
        self._apply(foundations, live)
        crds = [obj for obj in foundations if obj["kind"] == "CustomResourceDefinition"]
        if crds and not self._check_mode:
            self._wait.served(crds)
        self._apply(objects[len(foundations) :], live)
        if partial:
            return
        self._prune(objects, live)
        if not self._check_mode:
            self._wait.rolled_out([obj for obj in objects if obj["kind"] in WORKLOADS], self._changed)

    def absent(self) -> None:
        """Delete everything the application has in the cluster and wait until it is gone.

        Raises:
            ApplicationError: something would not go.
        """
        live = self._cluster.of_application(self._name).values()
        doomed = [obj for obj in live if is_ours(obj) or obj["kind"] == "PersistentVolumeClaim"]
        self._delete(sorted(doomed, key=rank, reverse=True))

    def _live(self, objects: list[Object]) -> dict[Identity, Object]:
        """Read what is there, once nothing wanted is about to go: such an object cannot be applied."""
        live = self._cluster.of_application(self._name, objects)
        there = filter(None, (live.get(identity(obj)) for obj in objects))
        going = [obj for obj in there if obj["metadata"].get("deletionTimestamp")]
        if not going or self._check_mode:
            return live
        self._wait.gone(going)
        return self._cluster.of_application(self._name, objects)

    def _apply(self, objects: list[Object], live: dict[Identity, Object]) -> None:
        """Apply the objects that differ from what is there, if the API server accepts all of them."""
        steps, refusals = [], []
        for obj in objects:
            try:
                steps.append(self._plan(obj, live.get(identity(obj)) or self._cluster.get(obj)))
            except RefusedError as refusal:
                refusals.append(f"{identity(obj)} was refused: {refusal}")
        if refusals:
            raise ApplicationError("\n".join(refusals))
        for step in filter(_Step.is_needed, steps):
            if not self._check_mode:
                self._carry_out(step)
            key = identity(step.wanted)
            self._changed.add(key)
            (self.outcome.updated if step.before else self.outcome.created).append(str(key))
            self.outcome.diff.append(difference(step.before, step.after))

    def _plan(self, obj: Object, before: Object | None) -> _Step:
        """Let the API server say what applying an object would make of it.

        In check mode an object is taken as it is when its namespace or its kind is yet to come.
        """
        owner = owner_application(before) if before else ""
        if owner not in ("", self._name):
            raise RefusedError(409, "", f"it belongs to the application {owner}")
        kind = self._cluster.kind(obj)
        if kind is None:
            if self._check_mode:
                return _Step(obj, before, obj)
            message = f"the cluster knows no {obj['kind']} of {obj['apiVersion']}: its CRD is missing"
            raise RefusedError(404, "", message)
        if kind.namespaced and not obj["metadata"].get("namespace"):
            raise RefusedError(400, "", "it names no namespace")
        if _is_outdated_job(obj, before):
            return _Step(obj, before, obj)
        try:
            return _Step(obj, before, self._cluster.apply(obj, dry_run=True))
        except RefusedError as refusal:
            if self._check_mode and refusal.status == 404:
                return _Step(obj, before, obj)
            if before and obj["kind"] == "PersistentVolumeClaim":
                return self._plan_in_its_size(obj, before, refusal)
            raise

    def _plan_in_its_size(self, claim: Object, before: Object, refusal: RefusedError) -> _Step:
        """Leave a volume as large as it is, where that is what was refused: few can grow, none can shrink."""
        resized = {**claim, "spec": {**claim["spec"], "resources": before["spec"]["resources"]}}
        try:
            step = _Step(resized, before, self._cluster.apply(resized, dry_run=True))
        except RefusedError:
            raise refusal from None
        self._cluster.warnings.append(f"{identity(claim)} keeps its size: {refusal}")
        return step

    def _carry_out(self, step: _Step) -> None:
        if step.before and _is_outdated_job(step.wanted, step.before):
            self._cluster.delete(step.before)
            self._wait.gone([step.before])
        try:
            self._cluster.apply(step.wanted, dry_run=False)
        except RefusedError as refusal:
            raise ApplicationError(f"{identity(step.wanted)} was refused: {refusal}") from refusal

    def _prune(self, objects: list[Object], live: dict[Identity, Object]) -> None:
        """Delete what this project applied for the application earlier and no longer renders."""
        wanted = {identity(obj) for obj in objects}
        unwanted = [
            obj
            for key, obj in live.items()
            if key not in wanted and obj["kind"] not in HOLDING_MORE and is_ours(obj)
        ]
        self._delete(sorted(unwanted, key=rank, reverse=True))

    def _delete(self, objects: list[Object]) -> None:
        for obj in objects:
            if not self._check_mode:
                self._cluster.delete(obj)
            self.outcome.deleted.append(str(identity(obj)))
            self.outcome.diff.append(difference(obj, None))
        if not self._check_mode:
            self._wait.gone(objects)


def without_cluster(application: str, definitions: Iterable[Object]) -> Outcome:
    """Return what applying would do where there is no cluster yet: create everything.

    Raises:
        ManifestError: an object is wrong in itself.
    """
    objects = prepare(application, definitions)
    return Outcome(
        created=[str(identity(obj)) for obj in objects],
        diff=[difference(None, obj) for obj in objects],
    )


def _is_outdated_job(wanted: Object, before: Object | None) -> bool:
    """Tell whether an object is a Job with another pod template than the one there: none can change it."""
    return wanted["kind"] == "Job" and before is not None and template_hash(wanted) != template_hash(before)
