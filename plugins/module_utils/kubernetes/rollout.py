"""Determines whether a workload runs, and if not, why. It only inspects objects and sends no requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

Object = dict[str, Any]

_CREATING = "ContainerCreating"
"""The kubelet mounts volumes, pulls the image or creates the container."""
_STARTING = (_CREATING, "PodInitializing")

_PULL_FAILED = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable")
"""The kubelet failed to pull an image and retries, with up to five minutes between two attempts."""
_NEVER_PULLED = re.compile(
    r"not found|manifest unknown|unauthorized|denied|authorization failed|forbidden|no such host"
    r"|invalid reference",
    re.IGNORECASE,
)
"""Errors of registries and containerd that another attempt does not solve."""

_CRASHES = 3
"""After this many crashes a container is hopeless; fewer may be a race with something that it needs."""
_LOOP = "CrashLoopBackOff"
"""It has crashed twice in a row since the kubelet started."""
_BY_REBOOT = "Unknown"
"""The reason in the status of a container that a power cut ended. This also counts as a restart."""

_PATIENCE = 20.0
"""How many seconds other trouble may last, such as a Secret that arrives late."""

_PULL_PATIENCE = 600.0
"""How many seconds an image may fail to be pulled, which is about six attempts."""

_SCHEDULING_PATIENCE = 60.0
"""How many seconds a pod may find no node: it may have to wait for its predecessor or its volume."""

_DEVICES = "homeserver.stack/devices"
"""The annotation of a pod with the devices that it uses: their resources, and what an owner calls them."""


class Trouble(NamedTuple):
    """Why a pod or one of its containers does not run."""

    container: str
    reason: str
    message: str = ""
    patience: float | None = None
    """Seconds until it is hopeless; None when it may pass by itself."""
    crashed: bool = False
    """The container ended at least once."""
    running: bool = False
    """The container runs now: if it crashed, the log of its previous run shows why."""
    image: str = ""
    """The image that it may be waiting for."""

    def __str__(self) -> str:
        where = f"container {self.container}: " if self.container else ""
        # For an image with a tag and a digest, containerd omits the tag.
        names_image = self.reason not in _PULL_FAILED or self.image in self.message
        reason = self.reason if names_image else f"{self.reason} {self.image}"
        return where + ": ".join(filter(None, (reason, self.message)))


def unfinished(obj: Object, away: int = 0) -> str:
    """Return why the rollout of a workload is not done; an empty text when it is done.

    Args:
        obj: the workload.
        away: how many nodes do not answer. A DaemonSet's pods there are not awaited.
    """
    status = obj.get("status") or {}
    match obj["kind"]:
        case "Job":
            return "" if obj["spec"].get("suspend") or _condition(obj, "Complete") else "not complete"
        case _ if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
            return "not yet seen by its controller"
        case "DaemonSet":
            wanted = status.get("desiredNumberScheduled", 0) - away
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
    return f"{old} old replicas still running" if old > 0 else ""


def is_away(workload: Object) -> bool:
    """Return whether none of the pods that a workload should have is available."""
    spec, status = workload["spec"], workload.get("status") or {}
    if workload["kind"] == "DaemonSet":
        return bool(status.get("desiredNumberScheduled") and not status.get("numberAvailable"))
    return bool(spec.get("replicas", 1) and not status.get("availableReplicas"))


def is_ready(obj: Object) -> bool:
    """Return whether a node or a pod is ready."""
    return bool(readiness(obj)["status"] == "True")


def readiness(obj: Object) -> Object:
    """Return the Ready condition of a node or a pod, as `status` and `message`."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    found: Object = next((state for state in conditions if state["type"] == "Ready"), {})
    return {"status": "Unknown", "message": "its kubelet has reported nothing yet", **found}


def is_probed(workload: Object) -> bool:
    """Return whether a finished rollout shows that the workload works: all have probes, or it is a Job."""
    containers = workload["spec"]["template"]["spec"]["containers"]
    return workload["kind"] == "Job" or all("readinessProbe" in container for container in containers)


def failure(workload: Object) -> str:
    """Return why a Job has failed for good; an empty text for every other workload."""
    condition = _condition(workload, "Failed") if workload["kind"] == "Job" else None
    return ": ".join(filter(None, (condition.get("reason"), condition.get("message")))) if condition else ""


def _condition(obj: Object, name: str) -> Object | None:
    """Return the condition of that name if it is true."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == name and c["status"] == "True"), None)


def troubles(pod: Object) -> Iterator[Trouble]:
    """Find the reasons why a pod is not ready, in the order in which they must be solved."""
    status = pod.get("status") or {}
    if status.get("phase") == "Succeeded":
        return
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            reason = condition.get("reason", "Unscheduled")
            yield Trouble("", reason, _explained(pod, condition.get("message", "")), _SCHEDULING_PATIENCE)
    if status.get("reason"):  # such as Evicted
        yield Trouble("", status["reason"], status.get("message", ""))
    if status.get("phase") == "Pending" and not status.get("conditions"):
        yield Trouble("", "Pending", "not seen by the scheduler yet")
    for container in status.get("initContainerStatuses") or []:
        if not container["ready"] and not container.get("started"):
            yield from _container_trouble(container)
    for container in status.get("containerStatuses") or []:
        if not container["ready"]:
            yield from _container_trouble(container)


def devices(pod: Object) -> dict[str, str]:
    """Return the devices that a pod or the template of one uses: their names for the owner, by resource."""
    told = (pod.get("metadata", {}).get("annotations") or {}).get(_DEVICES)
    found: dict[str, str] = json.loads(told) if told else {}
    return found


def _explained(pod: Object, message: str) -> str:
    """Return the scheduler's message, after the names of devices that it misses."""
    missed = [
        name
        for resource, name in devices(pod).items()
        if re.search(rf"Insufficient {re.escape(resource)}(?![\w-])", message)
    ]
    if not missed:
        return message
    return (
        f"it waits for {' and '.join(missed)}, which no server has, or which others use"
        f" -> plug it in, or remove it from the app: docs/apps.md#devices ({message})"
    )


def _container_trouble(container: Object) -> Iterator[Trouble]:
    name, state, image = container["name"], container.get("state") or {}, container.get("image", "")
    restarts = container.get("restartCount", 0)
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    if "running" in state:
        crashes = f", crashed {restarts} times, last with {_end(ended)}" if ended else ""
        yield Trouble(name, "NotReady", f"running, but not ready{crashes}", crashed=bool(ended), running=True)
    elif "terminated" in state:
        if state["terminated"].get("exitCode"):
            reason = state["terminated"].get("reason", "Error")
            # The kubelet only reports a crash loop after minutes.
            in_a_row = _crashed(state) and _crashed(container.get("lastState") or {})
            hopeless = in_a_row and restarts + 1 >= _CRASHES
            yield Trouble(name, reason, _end(ended), 0.0 if hopeless else None, crashed=True)
    else:
        waiting = state.get("waiting") or {}
        reason = waiting.get("reason", "Waiting")
        if ended:
            message = f"{_end(ended)}, {restarts} restarts"
            hopeless = reason == _LOOP and restarts + 1 >= _CRASHES and ended.get("reason") != _BY_REBOOT
            yield Trouble(name, reason, message, 0.0 if hopeless else None, crashed=True)
        else:
            message = waiting.get("message", "")
            waits_for_image = reason == _CREATING or reason in _PULL_FAILED
            yield Trouble(
                name, reason, message, _patience(reason, message), image=image if waits_for_image else ""
            )


def _crashed(state: Object) -> bool:
    """Return whether a container ended with an error, and not because of a power cut."""
    ended = state.get("terminated") or {}
    return bool(ended.get("exitCode")) and ended.get("reason") != _BY_REBOOT


def _patience(reason: str, message: str) -> float | None:
    """Return how many seconds a container may wait for this reason; None for no limit."""
    if reason in ("Waiting", *_STARTING):
        return None
    passes = reason in _PULL_FAILED and not _NEVER_PULLED.search(message)
    return _PULL_PATIENCE if passes else _PATIENCE


def _end(terminated: Object | None) -> str:
    """Describe how a container ended."""
    if not terminated:
        return ""
    reason = terminated.get("reason", "Error")
    words = f"exit code {terminated.get('exitCode')}"
    if reason == "OOMKilled":
        return f"OOMKilled, it used more memory than its limit ({words})"
    message = (terminated.get("message") or "").strip()
    return ", ".join(filter(None, (words, reason if reason != "Error" else "", message)))
