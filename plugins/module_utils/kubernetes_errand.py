"""A Job that is run once, for what it finds out, and leaves nothing."""

from __future__ import annotations

from collections.abc import Iterable

from .kubernetes_cluster import Cluster
from .kubernetes_objects import Object, pod_hash, template_hash
from .kubernetes_waiting import ApplicationError, Waiting

_LINES = 200


class RefusalError(Exception):
    """The Job ran and failed; the message is what it said."""


def run(cluster: Cluster, job: Object, timeout: float, needs: Iterable[Object] = ()) -> None:
    """Run a Job, and take it and what it needs away again.

    Args:
        cluster: where it runs.
        job: what to run, of one container, as `prepare` leaves it.
        timeout: seconds it may take, its image's download included.
        needs: what has to be there before it, and prepared as well.

    Raises:
        RefusalError: it ended with an error, after it had said this.
        ApplicationError: it did not run to its end.
    """
    needed = list(needs)
    try:
        for obj in [*needed, job]:
            cluster.apply(obj, dry_run=False)
        Waiting(cluster, timeout).rolled_out([job], ())
    except ApplicationError as error:
        if said := _said(cluster, job):
            raise RefusalError("\n".join(said)) from error
        raise
    finally:
        for obj in [job, *needed]:
            cluster.delete(obj)


def _said(cluster: Cluster, job: Object) -> list[str]:
    """Return what the Job said before it ended, nothing when it did not run to its end."""
    namespace = job["metadata"]["namespace"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    pods = [pod for pod in cluster.pods(namespace) if pod_hash(pod) == template_hash(job)]
    ended = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Failed"]
    return [
        line for pod in ended for line in cluster.log(pod, container["name"], previous=False, lines=_LINES)
    ]
