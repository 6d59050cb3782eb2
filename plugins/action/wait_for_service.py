"""Runs `homeserver.stack.wait_for_service` on the control machine."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.cluster import (
    ApiError,
    Cluster,
    UnreachableError,
)
from ansible_collections.homeserver.stack.plugins.plugin_utils.cluster_action import Arguments, ClusterAction

_SHOWN = 500
"""How many characters of an unexpected answer are shown."""


class ActionModule(ClusterAction):
    """Ask a Service through the API server, which reaches every Service."""

    ARGUMENTS: ClassVar = {
        "contains": {"type": "str", "required": True},
        "path": {"type": "str", "required": True},
        "service": {"type": "str", "required": True},
        "timeout": {"type": "int", "default": 60},
    }
    SKIPPED_IN_CHECK_MODE = True

    def act(self, arguments: Arguments, task_vars: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Wait for the expected answer."""
        cluster = self.connect(arguments.pop("kubeconfig"))
        flaw = _flaw(cluster, **arguments)
        return {"failed": True, "msg": flaw} if flaw else {}


def _flaw(cluster: Cluster, service: str, path: str, contains: str, timeout: int) -> str:
    """Return what is wrong with the answer when the time is up, or an empty text."""
    namespace, _, name = service.partition("/")
    deadline = time.monotonic() + timeout
    while contains not in (answer := _answer(cluster, namespace, name, path)):
        if time.monotonic() > deadline:
            expected = f"{service} did not answer {path} with {contains!r} within {timeout} s"
            return f"{expected}, but with: {answer[:_SHOWN]}"
        time.sleep(1)
    return ""


def _answer(cluster: Cluster, namespace: str, service: str, path: str) -> str:
    try:
        return cluster.ask(namespace, service, path)
    except (ApiError, UnreachableError) as error:
        return str(error)
