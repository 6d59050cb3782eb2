"""Runs a Job once and removes it."""

from __future__ import annotations

from collections.abc import Iterable

from .cluster import Cluster
from .objects import (
    Object,
    pod_hash,
    template_hash,
)
from .waiting import (
    ApplicationError,
    Say,
    Waiting,
    say_nothing,
)

_LINES = 200
"""How many of the last lines of a failed Job are reported."""


class JobFailedError(Exception):
    """The Job ran and failed; the message is its log."""


def run(
    cluster: Cluster, job: Object, timeout: float, needs: Iterable[Object] = (), say: Say = say_nothing
) -> None:
    """Run a Job, and remove it and the objects that it needs.

    The Job owns these objects, so Kubernetes removes them with it if this run is killed.

    Args:
        cluster: where it runs.
        job: a Job with one container, as `prepare` returns it.
        timeout: seconds it may take, without the time to pull its image.
        needs: prepared objects that its pod waits for.
        say: reports from time to time what is awaited.

    Raises:
        JobFailedError: it ended with an error; the message is its log.
        ApplicationError: it did not run, or did not end in time.
    """
    needed = list(needs)
    try:
        owner = _owner(cluster.apply(job, dry_run=False))
        for obj in needed:
            cluster.apply(obj | {"metadata": obj["metadata"] | {"ownerReferences": [owner]}}, dry_run=False)
        _wait(cluster, job, timeout, say)
    finally:
        for obj in [job, *needed]:
            cluster.delete(obj)


def finish(cluster: Cluster, job: Object, timeout: float, say: Say = say_nothing) -> None:
    """Wait for a Job that was applied before, and remove it.

    Arguments and errors are those of `run`.
    """
    try:
        _wait(cluster, job, timeout, say)
    finally:
        cluster.delete(job)


def _wait(cluster: Cluster, job: Object, timeout: float, say: Say) -> None:
    try:
        Waiting(cluster, timeout, say).rolled_out([job], ())
    except ApplicationError as error:
        if log := _log(cluster, job):
            raise JobFailedError("\n".join(log)) from error
        raise


def _owner(job: Object) -> Object:
    metadata = job["metadata"]
    return {
        "apiVersion": job["apiVersion"],
        "kind": job["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def _log(cluster: Cluster, job: Object) -> list[str]:
    """Return the log of a failed Job; nothing when it did not end."""
    namespace = job["metadata"]["namespace"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    pods = [pod for pod in cluster.pods(namespace) if pod_hash(pod) == template_hash(job)]
    ended = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Failed"]
    return [
        line for pod in ended for line in cluster.log(pod, container["name"], previous=False, lines=_LINES)
    ]
