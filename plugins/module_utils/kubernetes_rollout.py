"""Whether a workload runs, and if not, why: judged from what the Kubernetes API shows, without asking it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

Object = dict[str, Any]

_STARTING = ("ContainerCreating", "PodInitializing")

_CRASHES = 3
"""A container that crashed this often is hopeless; once or twice may be a race with what it needs."""

_PATIENCE = 20.0
"""Seconds that other trouble may last: a registry hiccups, a Secret arrives late."""

_SCHEDULING_PATIENCE = 60.0
"""Seconds a pod may find no node: the pod it replaces has to go first, or its volume to be made."""


class Trouble(NamedTuple):
    """Why a pod, or one of its containers, does not run."""

    container: str
    reason: str
    message: str = ""
    patience: float | None = None
    """Seconds after which it is hopeless; None when it may pass by itself."""
    crashed: bool = False
    """The container ended at least once."""
    running: bool = False
    """It runs at the moment: if it crashed, its last words are those of its previous run."""

    def __str__(self) -> str:
        where = f"container {self.container}: " if self.container else ""
        return where + ": ".join(filter(None, (self.reason, self.message)))


def unfinished(obj: Object) -> str:
    """Say what the rollout of a workload still lacks; an empty text when it is done."""
    status = obj.get("status") or {}
    match obj["kind"]:
        case "Job":
            return "" if obj["spec"].get("suspend") or _condition(obj, "Complete") else "not complete"
        case _ if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
            return "not yet seen by its controller"
        case "DaemonSet":
            wanted = status.get("desiredNumberScheduled", 0)
            updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
            old = 0
        case _:
            wanted = obj["spec"].get("replicas", 1)
            updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
            old = status.get("replicas", 0) - updated
    if updated < wanted:
        return f"{updated} of {wanted} replicas updated"
    if available < wanted:
        return f"{available} of {wanted} replicas available"
    return f"{old} replicas of before still running" if old > 0 else ""


def is_probed(workload: Object) -> bool:
    """Tell whether a rollout that is done proves that it works: by probes, or as a Job that has ended."""
    containers = workload["spec"]["template"]["spec"]["containers"]
    return workload["kind"] == "Job" or all("readinessProbe" in container for container in containers)


def failure(workload: Object) -> str:
    """Say why a workload itself has failed for good; an empty text while it has not. Only a Job ever does."""
    condition = _condition(workload, "Failed") if workload["kind"] == "Job" else None
    return ": ".join(filter(None, (condition.get("reason"), condition.get("message")))) if condition else ""


def _condition(obj: Object, name: str) -> Object | None:
    """Return the condition of that name if it holds."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == name and c["status"] == "True"), None)


def troubles(pod: Object) -> Iterator[Trouble]:
    """Find what keeps a pod from being ready, what has to pass first coming first."""
    status = pod.get("status") or {}
    if status.get("phase") == "Succeeded":
        return
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            reason = condition.get("reason", "Unscheduled")
            yield Trouble("", reason, condition.get("message", ""), _SCHEDULING_PATIENCE)
    if status.get("reason"):  # such as Evicted
        yield Trouble("", status["reason"], status.get("message", ""))
    if status.get("phase") == "Pending" and not status.get("conditions"):
        yield Trouble("", "Pending", "the scheduler has not looked at it")
    for container in status.get("initContainerStatuses") or []:
        if not container["ready"] and not container.get("started"):
            yield from _container_trouble(container)
    for container in status.get("containerStatuses") or []:
        if not container["ready"]:
            yield from _container_trouble(container)


def _container_trouble(container: Object) -> Iterator[Trouble]:
    name, state = container["name"], container.get("state") or {}
    restarts = container.get("restartCount", 0)
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    hopeless = 0.0 if restarts + 1 >= _CRASHES else None
    if "running" in state:
        crashes = f", having crashed {restarts} times, last with {_end(ended)}" if ended else ""
        yield Trouble(name, "NotReady", f"running, but not ready{crashes}", crashed=bool(ended), running=True)
    elif "terminated" in state:
        if state["terminated"].get("exitCode"):
            reason = state["terminated"].get("reason", "Error")
            yield Trouble(name, reason, _end(ended), hopeless, crashed=True)
    else:
        waiting = state.get("waiting") or {}
        reason = waiting.get("reason", "Waiting")
        if ended:
            message = f"{_end(ended)}, {restarts} restarts"
            yield Trouble(name, reason, message, hopeless, crashed=True)
        else:
            patience = None if reason in ("Waiting", *_STARTING) else _PATIENCE
            yield Trouble(name, reason, waiting.get("message", ""), patience)


def _end(terminated: Object | None) -> str:
    """Put into words how a container ended."""
    if not terminated:
        return ""
    reason = terminated.get("reason", "Error")
    words = f"exit code {terminated.get('exitCode')}"
    if reason == "OOMKilled":
        return f"OOMKilled, it used more memory than its limit ({words})"
    message = (terminated.get("message") or "").strip()
    return ", ".join(filter(None, (words, reason if reason != "Error" else "", message)))
