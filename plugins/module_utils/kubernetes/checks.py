"""Lets a program check its configuration in the cluster before the configuration is applied."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from . import jobs
from .cluster import Cluster
from .logins import (
    Login,
    with_pull_secrets,
)
from .objects import Object, prepare
from .waiting import (
    ApplicationError,
    Say,
    say_nothing,
)

_DIRECTORY = "/check"
_LEFTOVER_SECONDS = 300
"""How many seconds Kubernetes keeps the Job of a run that was killed, and with it the Secret."""
_DEADLINE_SECONDS = 86400
"""After how many seconds such a Job ends at the latest; pulling its image may take long."""

_FINAL: Object = {
    "action": "FailJob",
    "onExitCodes": {"containerName": "check", "operator": "In", "values": [1]},
}
"""promtool and amtool refuse a configuration with this exit code."""


class Check(NamedTuple):
    """A configuration and the program that checks it."""

    application: str
    """Whose configuration it is."""
    image: str
    command: list[str]
    """The check; it runs in the directory of the files."""
    files: Mapping[str, str]
    """Contents by file name; they may be secret."""
    logins: Sequence[Login] = ()
    """Logins to registries, one of which may have the image."""


def live_files(cluster: Cluster, holders: Iterable[Object]) -> dict[str, str] | None:
    """Return the files of ConfigMaps and Secrets in the cluster, or None if none of them exists."""
    live = [found for holder in holders if (found := cluster.get(holder))]
    if not live:
        return None
    return {name: content for found in live for name, content in _files_of(found)}


def _files_of(holder: Object) -> Iterator[tuple[str, str]]:
    for name, content in (holder.get("data") or {}).items():
        yield name, base64.b64decode(content).decode() if holder["kind"] == "Secret" else content


def check_unless_live(
    cluster: Cluster,
    check: Check,
    live: Iterable[str],
    *,
    initially: bool,
    timeout: float,
    say: Say = say_nothing,
) -> None:
    """Check a configuration, unless the cluster already has it.

    Args:
        cluster: where the check runs.
        check: what to run.
        live: the objects that contain the configuration, as in `ConfigMap/monitoring/prometheus`.
        initially: whether to check it while none of them exists.
        timeout: seconds it may take, without the time to pull its image.
        say: reports from time to time what is awaited.

    Raises:
        ApplicationError: the configuration is refused, with the output of the check; or it did not run.
    """
    files = live_files(cluster, map(_holder, live))
    if files != dict(check.files) and (files is not None or initially):
        run(cluster, check, timeout, say)


def _holder(place: str) -> Object:
    kind, namespace, name = place.split("/")
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}}


def run(cluster: Cluster, check: Check, timeout: float, say: Say = say_nothing) -> None:
    """Run a check, and remove everything that it created, except its namespace.

    The namespace is only for checks: that of the configuration may not exist yet, and in another one, others
    might be able to read the secrets.

    Args:
        cluster: where it runs.
        check: what to run.
        timeout: seconds it may take, without the time to pull its image.
        say: reports from time to time what is awaited.

    Raises:
        ApplicationError: the configuration is refused, with the output of the check; or it did not run.
    """
    namespace, *needs, job = prepare(check.application, _objects(check))
    cluster.apply(namespace, dry_run=False)
    try:
        jobs.run(cluster, job, timeout, needs, say)
    except jobs.JobFailedError as error:
        summary = f"{check.application}: the configuration is refused, and nothing was changed."
        raise ApplicationError(f"{summary}\n{error}") from error


def _objects(check: Check) -> list[Object]:
    name = f"check-{check.application}-{secrets.token_hex(3)}"
    home = f"check-{check.application}"
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home, "labels": restricted}}
    metadata = {"name": name, "namespace": home}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": dict(check.files)}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            # A rejected configuration is final, but a killed or evicted pod is replaced.
            "backoffLimit": 3,
            "podFailurePolicy": {"rules": [_FINAL]},
            "ttlSecondsAfterFinished": _LEFTOVER_SECONDS,
            "activeDeadlineSeconds": _DEADLINE_SECONDS,
            "template": {"metadata": {"labels": {"app.kubernetes.io/name": name}}, "spec": _pod(check, name)},
        },
    }
    return with_pull_secrets(name, [namespace, secret, job], check.logins)


def _pod(check: Check, secret: str) -> Object:
    return {
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        # The token has no rights. A check may test that the token file of a configuration exists.
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
