"""Waiting for what a cluster does by itself: rolling out, serving new kinds, deleting; with a bound."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator

from .kubernetes_cluster import Cluster
from .kubernetes_objects import Identity, Object, identity, pod_hash, template_hash
from .kubernetes_rollout import Trouble, failure, is_probed, troubles, unfinished

_POLL = 0.5
"""Seconds between two looks at what is waited for."""
_TRIAL = 5.0
"""Seconds that a new pod has to keep running where no probe says that it is ready."""
_SHOWN = 2
"""So many pods of a workload are described when it fails; the others mostly fail alike."""
_CREATION_PATIENCE = 20.0
"""Seconds a controller may fail to create any pod of a workload, which admission or a quota may forbid."""


class ApplicationError(Exception):
    """The application is not as asked; the message says which object, why, and what it last said."""


class Waiting:
    """Waits for one thing after the other, for a limited time in all."""

    def __init__(self, cluster: Cluster, timeout: float):
        """Start the clock.

        Args:
            cluster: where things happen.
            timeout: seconds for all waiting together.
        """
        self._cluster = cluster
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout

    def gone(self, objects: list[Object]) -> None:
        """Wait until objects that are being deleted are no longer there.

        Raises:
            ApplicationError: one stays; with what holds it.
        """
        for _ in self._polls():
            current = [(obj, self._cluster.get(obj)) for obj in objects]
            left = [now for obj, now in current if now and now["metadata"]["uid"] == obj["metadata"]["uid"]]
            if not left:
                return
            objects = left
        held = [f"{identity(obj)}: {_holding(obj)}" for obj in objects]
        raise ApplicationError("\n".join([f"not gone after {self._timeout:g} s:", *held]))

    def served(self, crds: list[Object]) -> None:
        """Wait until the cluster serves the kinds that CRDs define.

        Raises:
            ApplicationError: it does not.
        """
        for _ in self._polls():
            self._cluster.discover()
            missing = [str(identity(crd)) for crd in crds if not all(map(self._cluster.kind, _kinds(crd)))]
            if not missing:
                return
        raise ApplicationError(f"not established after {self._timeout:g} s: {', '.join(missing)}")

    def rolled_out(self, workloads: list[Object], changed: Collection[Identity]) -> None:
        """Wait until all workloads run; those that changed and whose readiness nothing probes, for a while.

        Raises:
            ApplicationError: one does not, or clearly will not; with the pods, the reasons and their logs.
        """
        done_since: dict[Identity, float] = {}
        first_seen: dict[tuple[str, str], float] = {}
        unproven = {identity(obj) for obj in workloads if not is_probed(obj)}.intersection(changed)
        for now in self._polls():
            pending = []
            for obj in (self._cluster.get(obj) or obj for obj in workloads):
                key = identity(obj)
                if unfinished(obj):
                    done_since.pop(key, None)
                    pending.append(obj)
                elif now - done_since.setdefault(key, now) < (_TRIAL if key in unproven else 0):
                    pending.append(obj)
            if not pending:
                return
            for obj in pending:
                self._unblock(obj)
            hopeless = [obj for obj in pending if self._is_hopeless(obj, now, first_seen)]
            if hopeless:
                raise ApplicationError("\n".join(map(self._diagnosis, hopeless)))
        raise ApplicationError(
            "\n".join([f"not rolled out after {self._timeout:g} s:", *map(self._diagnosis, pending)])
        )

    def _unblock(self, workload: Object) -> None:
        """Delete what is not ready of a StatefulSet's earlier manifest: it would wait until it is."""
        if workload["kind"] != "StatefulSet":
            return
        for pod in self._cluster.pods(workload["metadata"]["namespace"]):
            owners = [owner["uid"] for owner in pod["metadata"].get("ownerReferences") or []]
            outdated = pod_hash(pod) != template_hash(workload) and any(troubles(pod))
            going = pod["metadata"].get("deletionTimestamp")
            if workload["metadata"].get("uid") in owners and outdated and not going:
                self._cluster.delete(pod)

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
        lines = [
            f"{identity(workload)}: {failure(workload) or unfinished(workload) or 'does not stay ready'}"
        ]
        found = self._troubles(workload)
        subjects = {identity(subject): subject for subject, _ in found}
        for key, subject in list(subjects.items())[:_SHOWN]:
            own = [trouble for other, trouble in found if identity(other) == key]
            lines += [f"  {key}: {trouble}" for trouble in own]
            namespace, name = subject["metadata"]["namespace"], subject["metadata"]["name"]
            if any(trouble.patience is None for trouble in own):  # which the pod itself does not explain
                warnings = self._cluster.warnings_about(namespace, name)
                lines += [f"    {warning}" for warning in warnings[-_SHOWN:]]
            lines += self._last_words(subject, own)
        if len(subjects) > _SHOWN:
            lines.append(f"  and {len(subjects) - _SHOWN} more pods")
        return "\n".join(lines)

    def _last_words(self, pod: Object, found: list[Trouble]) -> Iterator[str]:
        """Quote the log of each container in trouble."""
        for trouble in found:
            if not trouble.container:
                continue
            previous = trouble.crashed and trouble.running
            if log := self._cluster.log(pod, trouble.container, previous=previous):
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
