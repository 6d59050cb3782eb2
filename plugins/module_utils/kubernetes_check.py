"""A program's own check of a configuration, run in the cluster before the configuration gets there."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from typing import NamedTuple

from . import kubernetes_errand
from .kubernetes_cluster import Cluster
from .kubernetes_objects import Object, prepare
from .kubernetes_waiting import ApplicationError

_NAMESPACE = "default"
"""Where the check runs: the configuration's own namespace may be yet to come."""
_DIRECTORY = "/check"
_LEFTOVER_SECONDS = 300
"""After this time Kubernetes removes the Job of a run that was killed."""


class Check(NamedTuple):
    """What is checked, and by what."""

    application: str
    """Whose configuration it is."""
    image: str
    command: list[str]
    """Runs in the directory of the files."""
    files: Mapping[str, str]
    """Content by file name; it may be secret."""


def live_files(cluster: Cluster, holder: Object) -> dict[str, str] | None:
    """Return the files that a ConfigMap or Secret in the cluster holds; None if there is no such object."""
    live = cluster.get(holder)
    if live is None:
        return None
    data = live.get("data") or {}
    if holder["kind"] == "Secret":
        return {name: base64.b64decode(content).decode() for name, content in data.items()}
    return dict(data)


def run(cluster: Cluster, check: Check, timeout: float) -> None:
    """Run a check, and leave nothing of it.

    Args:
        cluster: where it runs.
        check: what to run.
        timeout: seconds it may take, its image's download included.

    Raises:
        ApplicationError: the configuration was refused, with all that was said; or the check did not run.
    """
    secret, job = prepare(check.application, _objects(check))
    try:
        kubernetes_errand.run(cluster, job, timeout, [secret])
    except kubernetes_errand.RefusalError as refusal:
        told = f"{check.application}: the configuration is refused, and nothing was changed."
        raise ApplicationError(f"{told}\n{refusal}") from refusal


def _objects(check: Check) -> list[Object]:
    name = f"check-{check.application}-{secrets.token_hex(3)}"
    metadata = {"name": name, "namespace": _NAMESPACE}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": dict(check.files)}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": _LEFTOVER_SECONDS,
            "template": {"metadata": {"labels": {"app.kubernetes.io/name": name}}, "spec": _pod(check, name)},
        },
    }
    return [secret, job]


def _pod(check: Check, secret: str) -> Object:
    return {
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        # Of no rights; a check may look whether the token that a configuration names is there.
        "automountServiceAccountToken": True,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "runAsGroup": 65534,
            "fsGroup": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "check",
                "image": check.image,
                "command": check.command,
                "workingDir": _DIRECTORY,
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": "files", "mountPath": _DIRECTORY, "readOnly": True}],
            }
        ],
        "volumes": [{"name": "files", "secret": {"secretName": secret}}],
    }
