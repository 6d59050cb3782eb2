"""Waits for a limited time until objects are gone, new kinds are served or workloads are rolled out."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator

from .cluster import Cluster
from .objects import (
    Identity,
    Object,
    identity,
    needs,
    pod_hash,
    template_hash,
)
from .pulls import Container, Pulls
from .rollout import (
    Trouble,
    failure,
    is_away,
    is_probed,
    is_ready,
    troubles,
    unfinished,
)

_POLL = 0.5
"""Seconds between two checks."""
_TRIAL = 5.0
"""How many seconds a new pod without a readiness probe has to keep running."""
_WATCH = 20.0
"""How many seconds an upgraded workload with data has to stay ready: a damage may show after the start."""
_SHOWN = 2
"""How many pods of a failed workload are described; the others usually fail for the same reason."""
_CREATION_PATIENCE = 20.0
"""How many seconds a controller may fail to create any pod, for example because of a quota."""
_FIRST_REPORT = 15.0
"""Seconds of waiting until the first report."""
_REPORT_PERIOD = 30.0
"""Seconds between two reports."""

Say = Callable[[str], None]
"""Shows the user a line."""


def say_nothing(_text: str) -> None:
    """Show nothing."""


class ApplicationError(Exception):
    """An object is rejected, not deleted or does not run; the message has the reason and last log lines."""


class Waiting:
    """Waits for several things, one after the other, within one limit.

    Attributes:
        away: how many seconds no pod of a workload was available while it changed.
    """

    def __init__(self, cluster: Cluster, timeout: float, say: Say = say_nothing):
        """Start the clock.

        Args:
            cluster: the cluster to watch.
            timeout: seconds for everything together, without the time to pull images.
            say: reports from time to time what is awaited.
        """
        self._cluster = cluster
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._say = say
        self.away: dict[Identity, float] = {}

    def gone(self, objects: list[Object]) -> None:
        """Wait until objects that are being deleted are gone.

        Raises:
            ApplicationError: an object still exists; the message says why.
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
            ApplicationError: one is not served in time.
        """
        for _ in self._polls():
            self._cluster.discover()
            missing = [str(identity(crd)) for crd in crds if not all(map(self._cluster.kind, _kinds(crd)))]
            if not missing:
                return
        raise ApplicationError(f"not established after {self._timeout:g} s: {', '.join(missing)}")

    def rolled_out(
        self, workloads: list[Object], changed: Collection[Identity], watched: Collection[str] = ()
    ) -> None:
        """Wait until all workloads run; changed ones without readiness probes must keep running for a while.

        Args:
            workloads: the workloads.
            changed: those of them that changed.
            watched: those that must stay ready for longer, by what they are called.

        Raises:
            ApplicationError: one does not run, or is hopeless; with its pods, the reasons and their logs.
        """
        done_since: dict[Identity, float] = {}
        last = time.monotonic()
        rollout = _Rollout(self._cluster, workloads)
        unproven = {identity(obj) for obj in workloads if not is_probed(obj)}.intersection(changed)
        trials = dict.fromkeys(unproven, _TRIAL)
        trials |= {identity(obj): _WATCH for obj in workloads if str(identity(obj)) in watched}
        report = time.monotonic() + _FIRST_REPORT
        for now in self._polls():
            pending = []
            for obj in (self._cluster.get(obj) or obj for obj in workloads):
                key = identity(obj)
                if key in changed and _was_there(obj) and is_away(obj):
                    self.away[key] = self.away.get(key, 0.0) + now - last
                if self._unfinished(obj):
                    done_since.pop(key, None)
                    pending.append(obj)
                elif now - done_since.setdefault(key, now) < trials.get(key, 0):
                    pending.append(obj)
            if not pending:
                return
            last = now
            for obj in pending:
                self._unblock(obj)
            self._deadline += rollout.look(pending, now)
            if rollout.hopeless:
                raise ApplicationError("\n".join(map(self._diagnosis, rollout.hopeless)))
            if now >= report:
                self._say(rollout.report())
                report = now + _REPORT_PERIOD
        raise ApplicationError(
            "\n".join([f"not rolled out after {self._timeout:g} s:", *map(self._diagnosis, pending)])
        )

    def _unfinished(self, workload: Object) -> str:
        """Return why a rollout is not done. Pods on unreachable nodes are not awaited."""
        away = 0
        if workload["kind"] == "DaemonSet" and unfinished(workload):
            away = sum(not is_ready(node) for node in self._cluster.nodes())
        return unfinished(workload, away)

    def _unblock(self, workload: Object) -> None:
        """Delete pods of a StatefulSet's earlier manifest that are not ready: it waits for them forever."""
        if workload["kind"] != "StatefulSet":
            return
        for pod in self._cluster.pods(workload["metadata"]["namespace"]):
            owners = [owner["uid"] for owner in pod["metadata"].get("ownerReferences") or []]
            outdated = pod_hash(pod) != template_hash(workload) and any(troubles(pod))
            going = pod["metadata"].get("deletionTimestamp")
            if workload["metadata"].get("uid") in owners and outdated and not going:
                self._cluster.delete(pod)

    def _diagnosis(self, workload: Object) -> str:
        """Describe why a workload does not run: its pods in trouble, the reasons and their last log lines."""
        lines = [
            f"{identity(workload)}: {failure(workload) or unfinished(workload) or 'does not stay ready'}"
        ]
        found = _troubles(self._cluster, workload)
        subjects = {identity(subject): subject for subject, _ in found}
        for key, subject in list(subjects.items())[:_SHOWN]:
            own = [trouble for other, trouble in found if identity(other) == key]
            lines += [f"  {key}: {trouble}" for trouble in own]
            namespace, name = subject["metadata"]["namespace"], subject["metadata"]["name"]
            if any(trouble.patience is None for trouble in own):  # the pod itself does not explain it
                warnings = self._cluster.warnings_about(namespace, name)
                lines += [f"    {warning}" for warning in warnings[-_SHOWN:]]
            lines += self._last_lines(subject, own)
        if len(subjects) > _SHOWN:
            lines.append(f"  and {len(subjects) - _SHOWN} more pods")
        return "\n".join(lines)

    def _last_lines(self, pod: Object, found: list[Trouble]) -> Iterator[str]:
        """Return the last log lines of each container in trouble."""
        for trouble in found:
            if not trouble.container:
                continue
            previous = trouble.crashed and trouble.running
            if log := self._cluster.log(pod, trouble.container, previous=previous):
                yield f"    last lines of container {trouble.container}:"
                yield from (f"      {line}" for line in log)

    def _polls(self) -> Iterator[float]:
        """Yield the current time until the deadline, at least once."""
        while True:
            now = time.monotonic()
            yield now
            if now >= self._deadline:
                return
            time.sleep(_POLL)


class _Rollout:
    """The state of a rollout between two checks.

    Attributes:
        hopeless: the workloads whose trouble has lasted too long.
    """

    def __init__(self, cluster: Cluster, workloads: list[Object]):
        self._cluster = cluster
        self._images = {
            container["image"]
            for workload in workloads
            if workload["spec"].get("replicas", 1)
            for container in workload["spec"]["template"]["spec"]["containers"]
        }
        self._pulls = Pulls(cluster)
        self._looked = 0.0
        self._pending: list[Object] = []
        self._lasted: dict[Container, float] = defaultdict(float)
        """Seconds of trouble, without the time in which an image was pulled."""
        self._awaited: dict[str, tuple[str, bool]] = {}
        """The awaited images: since when, and whether they are being pulled."""
        self._excused: set[str] = set()
        """The uids of pods that crashed while something that they need was not there."""
        self.hopeless: list[Object] = []

    def look(self, pending: list[Object], now: float) -> float:
        """Check the workloads that are not rolled out yet.

        Args:
            pending: the workloads as they are in the cluster.
            now: seconds, of the monotonic clock.

        Returns:
            The seconds since the last check if an image is being pulled, else 0.
        """
        passed = now - self._looked if self._looked else 0.0
        self._looked, self._pending = now, pending
        found = [(obj, _troubles(self._cluster, obj)) for obj in pending]
        all_troubles = [each for _, several in found for each in several]
        pulling = self._pulls.look(all_troubles, now)
        self._await(all_troubles, pulling)
        for obj, several in found:
            self._excuse(obj, [pod for pod, trouble in several if trouble.crashed and not trouble.running])
        self.hopeless = [obj for obj, several in found if self._is_hopeless(obj, several, pulling, passed)]
        return passed if self._awaited else 0.0

    def _await(self, found: list[tuple[Object, Trouble]], pulling: set[Container]) -> None:
        """Record which images are being pulled, or failed and will be retried."""
        awaited: dict[str, tuple[str, bool]] = {}
        for subject, trouble in found:
            is_pulled = Container(subject["metadata"]["uid"], trouble.container) in pulling
            if trouble.image and (is_pulled or trouble.patience is not None):
                since, _ = self._awaited.get(trouble.image) or (time.strftime("%H:%M:%S"), False)
                awaited[trouble.image] = since, is_pulled or awaited.get(trouble.image, ("", False))[1]
        self._awaited = awaited

    def _excuse(self, workload: Object, crashed: list[Object]) -> None:
        """Excuse crashes until a workload has what it needs; then restart its pods.

        Otherwise the next attempt of the kubelet might come minutes later.
        """
        namespace = workload["metadata"]["namespace"]
        pending = {
            obj["metadata"]["name"] for obj in self._pending if obj["metadata"]["namespace"] == namespace
        }
        if needs(workload) & pending:
            self._excused.update(pod["metadata"]["uid"] for pod in crashed)
            return
        for pod in crashed:
            if pod["metadata"]["uid"] in self._excused and not pod["metadata"].get("deletionTimestamp"):
                self._cluster.delete(pod)

    def _is_hopeless(
        self,
        workload: Object,
        found: list[tuple[Object, Trouble]],
        pulling: set[Container],
        passed: float,
    ) -> bool:
        """Return whether the trouble of a workload has lasted too long."""
        if failure(workload):
            return True
        hopeless = False
        for subject, trouble in found:
            container = Container(subject["metadata"]["uid"], trouble.container)
            # A Job itself limits its retries.
            retried = trouble.crashed and (workload["kind"] == "Job" or container.pod in self._excused)
            if trouble.patience is not None and not retried and container not in pulling:
                self._lasted[container] += passed if container in self._lasted else 0.0
                hopeless = hopeless or self._lasted[container] >= trouble.patience
        return hopeless

    def report(self) -> str:
        """Describe what is awaited."""
        if not self._awaited:
            waiting = (
                f"{identity(obj)} ({unfinished(obj) or 'must keep running for a while'})"
                for obj in self._pending
            )
            return f"waiting for {', '.join(waiting)}"
        images = (
            f"{image} ({'pulling' if is_pulled else 'pull failed, retrying'} since {since})"
            for image, (since, is_pulled) in sorted(self._awaited.items())
        )
        count = f"{len(self._awaited)} of {len(self._images | self._awaited.keys())}"
        return f"waiting for {count} images: {', '.join(images)}"


def _was_there(workload: Object) -> bool:
    """Return whether a workload existed before, and is not a Job, because a Job serves no requests."""
    return bool(workload["kind"] != "Job" and workload["metadata"].get("generation", 1) > 1)


def _troubles(cluster: Cluster, workload: Object) -> list[tuple[Object, Trouble]]:
    """Find the trouble of a workload's newest pods, each with the pod or workload that it concerns."""
    namespace = workload["metadata"]["namespace"]
    wanted = template_hash(workload)
    pods = [pod for pod in cluster.pods(namespace) if pod_hash(pod) == wanted]
    if pods:
        return [(pod, trouble) for pod in pods for trouble in troubles(pod)]
    warnings = cluster.warnings_about(namespace, workload["metadata"]["name"])
    refused = [warning for warning in warnings if warning.startswith("FailedCreate: ")]
    return [(workload, Trouble("", text, patience=_CREATION_PATIENCE)) for text in refused[-1:]]


def _kinds(crd: Object) -> list[Object]:
    """Return the type of each version that a CRD serves."""
    spec = crd["spec"]
    return [
        {"apiVersion": f"{spec['group']}/{version['name']}", "kind": spec["names"]["kind"]}
        for version in spec["versions"]
        if version.get("served")
    ]


def _holding(obj: Object) -> str:
    """Return what prevents the deletion of an object."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    said = [c["message"] for c in conditions if c.get("status") == "True" and c.get("message")]
    finalizers = obj["metadata"].get("finalizers") or []
    return "; ".join([*said, *finalizers]) or "no reason given"
