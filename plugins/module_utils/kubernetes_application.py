"""An application in a cluster: applied as a whole, waited for, pruned, and taken away."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
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
    pod_hash,
    prepare,
    rank,
    template_hash,
)
from .kubernetes_rollout import Trouble, failure, troubles, unfinished

_POLL = 0.5
"""Seconds between two looks at what is waited for."""
_SHOWN = 2
"""So many pods of a workload are described when it fails; the others mostly fail alike."""
_CREATION_PATIENCE = 20.0
"""Seconds a controller may fail to create any pod of a workload, which admission or a quota may forbid."""


class ApplicationError(Exception):
    """The application is not as asked; the message says which object, why, and what it last said."""


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
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout
        self.outcome = Outcome()

    def present(self, definitions: Iterable[Object]) -> None:
        """Apply all objects, delete what is no longer among them, wait until what was applied runs.

        Nothing but namespaces and CRDs is applied before the API server has accepted every object.

        Raises:
            ManifestError: an object is wrong in itself.
            ApplicationError: an object was refused, or does not run.
        """
        objects = prepare(self._name, definitions)
        live = self._live(objects)
        foundations = [obj for obj in objects if obj["kind"] in FOUNDATIONS]
        self._apply(foundations, live)
        self._wait_served([obj for obj in foundations if obj["kind"] == "CustomResourceDefinition"])
        self._apply(objects[len(foundations) :], live)
        self._prune(objects, live)
        if not self._check_mode:
            self._wait_rolled_out([obj for obj in objects if obj["kind"] in WORKLOADS])

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
        self._wait_gone(going)
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
            done = self.outcome.updated if step.before else self.outcome.created
            done.append(str(identity(step.wanted)))
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
            raise

    def _carry_out(self, step: _Step) -> None:
        if step.before and _is_outdated_job(step.wanted, step.before):
            self._cluster.delete(step.before)
            self._wait_gone([step.before])
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
            self._wait_gone(objects)

    def _wait_gone(self, objects: list[Object]) -> None:
        for _ in self._polls():
            current = [(obj, self._cluster.get(obj)) for obj in objects]
            left = [now for obj, now in current if now and now["metadata"]["uid"] == obj["metadata"]["uid"]]
            if not left:
                return
            objects = left
        held = [f"{identity(obj)}: {_holding(obj)}" for obj in objects]
        raise ApplicationError("\n".join([f"not gone after {self._timeout:g} s:", *held]))

    def _wait_served(self, crds: list[Object]) -> None:
        """Wait until the cluster serves the kinds that CRDs define."""
        if self._check_mode or not crds:
            return
        for _ in self._polls():
            self._cluster.discover()
            missing = [str(identity(crd)) for crd in crds if not all(map(self._cluster.kind, _kinds(crd)))]
            if not missing:
                return
        raise ApplicationError(f"not established after {self._timeout:g} s: {', '.join(missing)}")

    def _wait_rolled_out(self, workloads: list[Object]) -> None:
        """Wait until all workloads run; fail as soon as one cannot."""
        first_seen: dict[tuple[str, str], float] = {}
        for now in self._polls():
            current = [self._cluster.get(obj) or obj for obj in workloads]
            pending = [obj for obj in current if unfinished(obj)]
            if not pending:
                return
            hopeless = [obj for obj in pending if self._is_hopeless(obj, now, first_seen)]
            if hopeless:
                raise ApplicationError("\n".join(map(self._diagnosis, hopeless)))
        raise ApplicationError(
            "\n".join([f"not rolled out after {self._timeout:g} s:", *map(self._diagnosis, pending)])
        )

    def _is_hopeless(self, workload: Object, now: float, first_seen: dict[tuple[str, str], float]) -> bool:
        """Tell whether trouble has kept a workload from running for longer than it may.

        Args:
            workload: as it is in the cluster.
            now: seconds, of the monotonic clock.
            first_seen: when each trouble was first seen, kept from call to call.
        """
        if failure(workload):
            return True
        hopeless = False
        for subject, trouble in self._troubles(workload):
            retried = trouble.crashed and workload["kind"] == "Job"  # how often, the Job itself says
            if trouble.patience is not None and not retried:
                since = first_seen.setdefault((subject["metadata"]["uid"], trouble.container), now)
                hopeless = hopeless or now - since >= trouble.patience
        return hopeless

    def _troubles(self, workload: Object) -> list[tuple[Object, Trouble]]:
        """Find what keeps the pods of a workload's newest revision from running, and what each concerns."""
        namespace = workload["metadata"]["namespace"]
        wanted = template_hash(workload)
        pods = [pod for pod in self._cluster.pods(namespace) if pod_hash(pod) == wanted]
        if pods:
            return [(pod, trouble) for pod in pods for trouble in troubles(pod)]
        warnings = self._cluster.warnings_about(namespace, workload["metadata"]["name"])
        refused = [warning for warning in warnings if warning.startswith("FailedCreate: ")]
        return [(workload, Trouble("", text, patience=_CREATION_PATIENCE)) for text in refused[-1:]]

    def _diagnosis(self, workload: Object) -> str:
        """Say what a workload lacks, which pods are in trouble, why, and what they last said."""
        lines = [f"{identity(workload)}: {failure(workload) or unfinished(workload)}"]
        found = self._troubles(workload)
        subjects = {identity(subject): subject for subject, _ in found}
        for key, subject in list(subjects.items())[:_SHOWN]:
            own = [trouble for other, trouble in found if identity(other) == key]
            lines += [f"  {key}: {trouble}" for trouble in own]
            namespace, name = subject["metadata"]["namespace"], subject["metadata"]["name"]
            lines += [f"    {warning}" for warning in self._cluster.warnings_about(namespace, name)[-_SHOWN:]]
            lines += self._last_words(subject, own)
        if len(subjects) > _SHOWN:
            lines.append(f"  and {len(subjects) - _SHOWN} more pods")
        return "\n".join(lines)

    def _last_words(self, pod: Object, found: list[Trouble]) -> Iterator[str]:
        """Quote the log of each container in trouble, of its previous run if that ended."""
        for trouble in found:
            if not trouble.container:
                continue
            if log := self._cluster.log(pod, trouble.container, previous=trouble.crashed):
                yield f"    last lines of container {trouble.container}:"
                yield from (f"      {line}" for line in log)

    def _polls(self) -> Iterator[float]:
        """Yield the time again and again, until there is none left; once at least."""
        while True:
            now = time.monotonic()
            yield now
            if now >= self._deadline:
                return
            time.sleep(_POLL)


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


def _kinds(crd: Object) -> list[Object]:
    """Return an example, as far as its type goes, of each version of a kind that a CRD has served."""
    spec = crd["spec"]
    return [
        {"apiVersion": f"{spec['group']}/{version['name']}", "kind": spec["names"]["kind"]}
        for version in spec["versions"]
        if version.get("served")
    ]


def _holding(obj: Object) -> str:
    """Say what holds an object that is being deleted."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    said = [c["message"] for c in conditions if c.get("status") == "True" and c.get("message")]
    finalizers = obj["metadata"].get("finalizers") or []
    return "; ".join([*said, *finalizers]) or "nothing says why"
