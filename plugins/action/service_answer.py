"""Runs `homeserver.stack.service_answer` from the control machine."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.kubernetes_cluster import Cluster, RefusedError, UnreachableError

ARGUMENTS: dict[str, dict[str, Any]] = {
    "contains": {"type": "str", "required": True},
    "kubeconfig": {"type": "path", "required": True},
    "path": {"type": "str", "required": True},
    "service": {"type": "str", "required": True},
    "timeout": {"type": "int", "default": 60},
}
_SHOWN = 500
"""So many characters of an answer that is not the expected one are shown."""


class ActionModule(ActionBase):
    """Ask by way of the API server, which reaches every Service; a dry run has nothing to wait for."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Wait for the answer."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(ARGUMENTS)
        if self._task.check_mode:
            return result
        try:
            flaw = _flaw(**arguments)
        except (RefusedError, UnreachableError) as error:
            flaw = str(error)
        return result | {"failed": True, "msg": flaw} if flaw else result


def _flaw(kubeconfig: str, service: str, path: str, contains: str, timeout: int) -> str:
    """What is wrong with the answer when the time is up, or an empty text."""
    cluster = Cluster(kubeconfig)
    namespace, _, name = service.partition("/")
    deadline = time.monotonic() + timeout
    while contains not in (answer := _answer(cluster, namespace, name, path)):
        if time.monotonic() > deadline:
            return (
                f"{service} does not answer {contains!r} at {path} within {timeout} s, but: {answer[:_SHOWN]}"
            )
        time.sleep(1)
    return ""


def _answer(cluster: Cluster, namespace: str, service: str, path: str) -> str:
    try:
        return cluster.ask(namespace, service, path)
    except (RefusedError, UnreachableError) as error:
        return str(error)
