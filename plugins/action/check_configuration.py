"""Runs `homeserver.stack.check_configuration` from the control machine."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.kubernetes_check import Check, live_files, run
from ..module_utils.kubernetes_cluster import Cluster, RefusedError, UnreachableError
from ..module_utils.kubernetes_waiting import ApplicationError

ARGUMENTS: dict[str, dict[str, Any]] = {
    "application": {"type": "str", "required": True},
    "command": {"type": "list", "elements": "str", "required": True},
    "files": {"type": "dict", "required": True},
    "image": {"type": "str", "required": True},
    "initially": {"type": "bool", "default": True},
    "kubeconfig": {"type": "path", "required": True},
    "live": {
        "type": "dict",
        "required": True,
        "options": {
            "kind": {"type": "str", "choices": ["ConfigMap", "Secret"], "required": True},
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
        },
    },
    "timeout": {"type": "int", "default": 300},
}


class ActionModule(ActionBase):
    """Check what is not yet in the cluster; a dry run checks nothing, since it may run nothing there."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with what the program says of the configuration, or do nothing."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(ARGUMENTS)
        if self._task.check_mode:
            return result
        try:
            _check(**arguments)
        except (ApplicationError, RefusedError, UnreachableError) as error:
            return result | {"failed": True, "msg": str(error)}
        return result


def _check(kubeconfig: str, live: dict[str, str], timeout: int, initially: bool, **check: Any) -> None:
    cluster = Cluster(kubeconfig)
    metadata = {"name": live["name"], "namespace": live["namespace"]}
    holder = {"apiVersion": "v1", "kind": live["kind"], "metadata": metadata}
    files = live_files(cluster, holder)
    if files == check["files"] or (files is None and not initially):
        return
    run(cluster, Check(**check), timeout)
