"""Applies, prunes and deletes all objects of an application, and waits until it runs or is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from .cluster import ApiError, Cluster
from .objects import (
    APPLY_FIRST,
    NEVER_PRUNED,
    WORKLOADS,
    Identity,
    Object,
    difference,
    identity,
    is_ours,
    kind_of,
    owner_application,
    prepare,
    rank,
    template_hash,
    without_server_fields,
)
from .record import Record
from .rollout import failure
from .upgrade import ACCEPTED, COPYING, TAKING_BACK, Change, Copier, Upgrade
from .waiting import (
    ApplicationError,
    Say,
    Waiting,
    say_nothing,
)

_PRUNED_WITH_VOLUMES = tuple(kind for kind in NEVER_PRUNED if kind != "PersistentVolumeClaim")


@dataclass
class Outcome:
    """The changes of a run, or those it would make in check mode."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)
    away: dict[str, float] = field(default_factory=dict)


class _Step(NamedTuple):
    """One object before and after it is applied."""

    wanted: Object
    before: Object | None
    after: Object

    def is_needed(self) -> bool:
        return (
            self.before is None
            or _is_outdated_job(self.wanted, self.before)
            or without_server_fields(self.before) != without_server_fields(self.after)
        )


class Application:
    """All objects in a cluster with the labels of one application."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        *,
        timeout: float,
        check_mode: bool,
        say: Say = say_nothing,
        copier: Copier | None = None,
    ):
        """Prepare a run.

        Args:
            cluster: where the application lives.
            name: the value of the label app.kubernetes.io/part-of.
            timeout: seconds for all waiting together, without the time to pull images.
            check_mode: change nothing, and let the API server report what would change.
            say: reports from time to time what is awaited.
            copier: copies volumes, so that an upgrade can be taken back with its data; None for none.
        """
        self._cluster = cluster
        self._name = name
        self._check_mode = check_mode
        self._timeout = timeout
        self._say: Say = lambda text: say(f"{name}: {text}")
        self._copier = copier
        self._wait = self._waiting()
        self._changed: set[Identity] = set()
        self.outcome = Outcome()

    def present(
        self,
        definitions: Iterable[Object],
        *,
        partial: bool = False,
        delete_volumes: bool = False,
        prove: Callable[[bool], None] = lambda _changed: None,
    ) -> None:
        """Apply all objects, delete those that are no longer rendered, and wait until the workloads run.

        Only namespaces and CRDs are applied before the API server has accepted every object. An upgrade of a
        workload with data that does not run is taken back.

        Args:
            definitions: the objects.
            partial: these are only some of the objects; delete nothing, and wait for no workload.
            delete_volumes: delete the volume claims that are no longer rendered, too.
            prove: raises ApplicationError if it does not work; gets whether anything changed.

        Raises:
            ManifestError: an object is invalid.
            ApplicationError: an object is refused, or a workload does not run.
        """
        objects = prepare(self._name, definitions)
        watched = not (partial or self._check_mode)
        upgrade = self._interrupted(self._copier, objects) if self._copier and watched else None
        record = Record(self._cluster, self._name)
        live = self._live(objects, record)
        if not self._check_mode:
            record.add(set(map(kind_of, objects)))
        first = [obj for obj in objects if obj["kind"] in APPLY_FIRST]
        self._apply(self._plans(first, live))
        crds = [obj for obj in first if obj["kind"] == "CustomResourceDefinition"]
        if crds and not self._check_mode:
            self._wait.served(crds)
        steps = self._plans(objects[len(first) :], live)
        if partial:
            self._apply(steps)
            return
        unwanted = _unwanted(objects, live, NEVER_PRUNED if not delete_volumes else _PRUNED_WITH_VOLUMES)
        begun = upgrade if upgrade and _is_begun(upgrade, steps, unwanted) else None
        try:
            if begun and begun.phase == COPYING:
                self._copy(begun)
            self._apply(steps)
            self._settle(objects, unwanted, begun)
            if watched:
                prove(bool(self.outcome.created or self.outcome.updated or self.outcome.deleted))
        except ApplicationError as error:
            if begun is None:
                raise
            raise ApplicationError(self._take_back(begun, str(error))) from error
        if begun:
            begun.accept()
        if watched:
            kept_objects = (obj for obj in live.values() if obj not in unwanted)
            record.replace({kind_of(obj) for obj in (*objects, *kept_objects)})

    def _settle(self, objects: list[Object], unwanted: list[Object], upgrade: Upgrade | None) -> None:
        """Delete what is no longer rendered, and wait until the workloads run.

        What may have to come back is deleted last.
        """
        workloads = [obj for obj in objects if obj["kind"] in WORKLOADS]
        last = [obj for obj in unwanted if upgrade or _place(obj) in map(_place, workloads)]
        self._delete([obj for obj in unwanted if obj not in last])
        if not self._check_mode:
            self._wait.rolled_out(workloads, self._changed, upgrade.workloads if upgrade else ())
            for key, seconds in self._wait.away.items():
                self.outcome.away[str(key)] = self.outcome.away.get(str(key), 0.0) + seconds
        self._delete(last)

    def _waiting(self) -> Waiting:
        """Return a new limit of the time to wait."""
        return Waiting(self._cluster, self._timeout, self._say)

    def _interrupted(self, copier: Copier, objects: list[Object]) -> Upgrade:
        """Finish what an interrupted run has begun, unless it is an upgrade to these objects.

        Raises:
            ApplicationError: an upgrade was taken back.
        """
        upgrade = Upgrade(self._cluster, self._name, copier)
        if upgrade.phase == ACCEPTED:
            upgrade.end()
        elif upgrade.phase == TAKING_BACK:
            raise ApplicationError(self._take_back(upgrade, ""))
        elif upgrade.record and not upgrade.goes_to(objects):
            why = "it was interrupted, and this run has another version"
            self._say(self._take_back(upgrade, why))
        elif upgrade.record:
            upgrade.go_on()
        return upgrade

    def _copy(self, upgrade: Upgrade) -> None:
        """Copy the volumes of what is upgraded."""
        begun = time.monotonic()
        self._say("stopped while its data are copied")
        upgrade.copy(self._wait)
        self._wait = self._waiting()
        self.outcome.away = {name: time.monotonic() - begun for name in upgrade.workloads}

    def _take_back(self, upgrade: Upgrade, why: str) -> str:
        """Bring back the objects and the data before an upgrade, and return what to tell the owner.

        Raises:
            ApplicationError: it is not possible yet.
        """
        self._say("the upgrade is taken back")
        try:
            before = upgrade.bring_back(why, self._waiting())
            current = filter(None, map(self._cluster.get, before))
            self._waiting().gone([obj for obj in current if obj["metadata"].get("deletionTimestamp")])
            for obj in before:
                self._carry_out(_Step(obj, self._cluster.get(obj), obj))
            created = upgrade.created()
            for obj in created:
                self._cluster.delete(obj)
            self._waiting().gone(created)
        except (ApiError, ApplicationError) as error:
            raise ApplicationError(
                f"{why}\nThe upgrade is not taken back yet: {error}\n-> run it again, which goes on with that"
            ) from error
        trouble = ""
        workloads = [obj for obj in before if obj["kind"] in WORKLOADS]
        try:
            self._waiting().rolled_out(workloads, set(map(identity, workloads)))
        except ApplicationError as error:
            trouble = str(error)
        told = upgrade.told(trouble)
        upgrade.end()
        return told

    def absent(self, *, delete_volumes: bool = True) -> None:
        """Delete all objects of the application and wait until they are gone.

        Args:
            delete_volumes: delete the volume claims, too. Otherwise they stay, with their namespaces.

        Raises:
            ApplicationError: an object is not deleted in time.
        """
        if delete_volumes and self._copier and not self._check_mode:
            upgrade = Upgrade(self._cluster, self._name, self._copier)
            if upgrade.record:
                upgrade.end()
        live = self._cluster.of_application(self._name).values()
        doomed = [obj for obj in live if is_ours(obj) or obj["kind"] == "PersistentVolumeClaim"]
        if not delete_volumes:
            doomed = self._without_volumes(doomed)
        self._delete(sorted(doomed, key=rank, reverse=True))
        if not self._check_mode:
            Record(self._cluster, self._name).remove()

    def _without_volumes(self, doomed: list[Object]) -> list[Object]:
        """Leave out volumes, their claims and the namespaces that these are in."""
        claims = [obj for obj in doomed if obj["kind"] == "PersistentVolumeClaim"]
        self._cluster.warnings += [f"{identity(claim)} is kept" for claim in claims]
        homes = {claim["metadata"]["namespace"] for claim in claims}
        # A volume with a claim is not deleted before the claim.
        return [
            obj
            for obj in doomed
            if obj["kind"] not in ("PersistentVolumeClaim", "PersistentVolume")
            and not (obj["kind"] == "Namespace" and obj["metadata"]["name"] in homes)
        ]

    def _live(self, objects: list[Object], record: Record) -> dict[Identity, Object]:
        """Read the live objects; first wait for those being deleted, since they cannot be applied."""
        live = self._cluster.of_application(self._name, objects, record.kinds)
        existing = filter(None, (live.get(identity(obj)) for obj in objects))
        going = [obj for obj in existing if obj["metadata"].get("deletionTimestamp")]
        if not going or self._check_mode:
            return live
        self._wait.gone(going)
        return self._cluster.of_application(self._name, objects, record.kinds)

    def _plans(self, objects: list[Object], live: dict[Identity, Object]) -> list[_Step]:
        """Return what applying the objects changes, if the API server accepts all of them."""
        steps, refusals = [], []
        for obj in objects:
            try:
                steps.append(self._plan(obj, live.get(identity(obj)) or self._cluster.get(obj)))
            except ApiError as refusal:
                refusals.append(f"{identity(obj)} was refused: {refusal}")
        if refusals:
            raise ApplicationError("\n".join(refusals))
        return [step for step in steps if step.is_needed()]

    def _apply(self, steps: list[_Step]) -> None:
        for step in steps:
            if not self._check_mode:
                self._carry_out(step)
            key = identity(step.wanted)
            self._changed.add(key)
            (self.outcome.updated if step.before else self.outcome.created).append(str(key))
            self.outcome.diff.append(difference(step.before, step.after))

    def _plan(self, obj: Object, before: Object | None) -> _Step:
        """Ask the API server for the result of applying an object.

        In check mode the result is the object itself when its namespace or its kind does not exist yet.
        """
        owner = owner_application(before) if before else ""
        if owner not in ("", self._name):
            raise ApiError(409, "", f"it belongs to the application {owner}")
        kind = self._cluster.kind(obj)
        if kind is None:
            if self._check_mode:
                return _Step(obj, before, obj)
            message = f"the cluster serves no {obj['kind']} of {obj['apiVersion']}: its CRD is missing"
            raise ApiError(404, "", message)
        if kind.namespaced and not obj["metadata"].get("namespace"):
            raise ApiError(400, "", "metadata.namespace is missing")
        if _is_outdated_job(obj, before):
            return _Step(obj, before, obj)
        if before and _has_another_service(obj, before):
            return self._plan_successor(obj, before)
        try:
            return _Step(obj, before, self._cluster.apply(obj, dry_run=True))
        except ApiError as refusal:
            if self._check_mode and refusal.status == 404:
                return _Step(obj, before, obj)
            if before and obj["kind"] == "PersistentVolumeClaim":
                return self._plan_unresized(obj, before, refusal)
            raise

    def _plan_successor(self, obj: Object, before: Object) -> _Step:
        """Let the API server check everything except the immutable name of the service."""
        named = {**obj, "spec": {**obj["spec"], "serviceName": before["spec"]["serviceName"]}}
        after = self._cluster.apply(named, dry_run=True)
        return _Step(
            obj, before, {**after, "spec": {**after["spec"], "serviceName": obj["spec"]["serviceName"]}}
        )

    def _plan_unresized(self, claim: Object, before: Object, refusal: ApiError) -> _Step:
        """Keep the size of a volume if the resize was rejected: few volumes can grow, none can shrink."""
        resized = {**claim, "spec": {**claim["spec"], "resources": before["spec"]["resources"]}}
        try:
            step = _Step(resized, before, self._cluster.apply(resized, dry_run=True))
        except ApiError:
            raise refusal from None
        self._cluster.warnings.append(f"{identity(claim)} keeps its size: {refusal}")
        return step

    def _carry_out(self, step: _Step) -> None:
        if step.before and _is_outdated_job(step.wanted, step.before):
            self._cluster.delete(step.before)
            self._wait.gone([step.before])
        elif step.before and _has_another_service(step.wanted, step.before):
            # Its pods keep running and are adopted by its successor.
            self._cluster.delete(step.before, orphan=True)
            self._wait.gone([step.before])
        try:
            self._cluster.apply(step.wanted, dry_run=False)
        except ApiError as refusal:
            raise ApplicationError(f"{identity(step.wanted)} was refused: {refusal}") from refusal

    def _delete(self, objects: list[Object]) -> None:
        for obj in objects:
            if not self._check_mode:
                self._cluster.delete(obj)
            self.outcome.deleted.append(str(identity(obj)))
            self.outcome.diff.append(difference(obj, None))
        if not self._check_mode:
            self._wait.gone(objects)


def without_cluster(application: str, definitions: Iterable[Object]) -> Outcome:
    """Return the outcome in check mode when there is no cluster yet: everything is created.

    Raises:
        ManifestError: an object is invalid.
    """
    objects = prepare(application, definitions)
    return Outcome(
        created=[str(identity(obj)) for obj in objects],
        diff=[difference(None, obj) for obj in objects],
    )


def _unwanted(objects: list[Object], live: dict[Identity, Object], kept: Iterable[str]) -> list[Object]:
    """Return the objects that this project applied earlier and no longer renders, in deletion order."""
    wanted = {identity(obj) for obj in objects}
    unwanted = [
        obj for key, obj in live.items() if key not in wanted and obj["kind"] not in kept and is_ours(obj)
    ]
    return sorted(unwanted, key=rank, reverse=True)


def _is_begun(upgrade: Upgrade, steps: list[_Step], unwanted: list[Object]) -> bool:
    """Return whether data are upgraded, now or since an interrupted run."""
    return bool(upgrade.record) or upgrade.begin(
        [Change(step.before, step.wanted) for step in steps], unwanted
    )


def _place(workload: Object) -> Identity:
    """Return the identity that a workload shares with a successor of another kind."""
    return identity(workload)._replace(kind="")


def _is_outdated_job(wanted: Object, before: Object | None) -> bool:
    """Return whether a Job must be replaced: it failed, or its immutable pod template differs."""
    if wanted["kind"] != "Job" or before is None:
        return False
    return template_hash(wanted) != template_hash(before) or bool(failure(before))


def _has_another_service(wanted: Object, before: Object) -> bool:
    """Return whether a StatefulSet gets another service, whose name is immutable."""
    if wanted["kind"] != "StatefulSet":
        return False
    return bool(wanted["spec"].get("serviceName") != before["spec"].get("serviceName"))
