"""Runs `homeserver.stack.run_job` from the control machine."""

from __future__ import annotations

import secrets
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.kubernetes_cluster import Cluster, RefusedError, UnreachableError
from ..module_utils.kubernetes_errand import RefusalError, run
from ..module_utils.kubernetes_objects import ManifestError, Object, prepare
from ..module_utils.kubernetes_waiting import ApplicationError

ARGUMENTS: dict[str, dict[str, Any]] = {
    "application": {"type": "str", "required": True},
    "definition": {"type": "dict", "required": True},
    "kubeconfig": {"type": "path", "required": True},
    "timeout": {"type": "int", "default": 300},
}


class ActionModule(ActionBase):
    """Run it, and tell what it said when it failed; a dry run may run nothing in the cluster."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the Job to its end."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(ARGUMENTS)
        if self._task.check_mode:
            return result
        try:
            (job,) = prepare(str(arguments["application"]), [_named(arguments["definition"])])
            run(Cluster(str(arguments["kubeconfig"])), job, arguments["timeout"])
        except (ApplicationError, ManifestError, RefusalError, RefusedError, UnreachableError) as error:
            return result | {"failed": True, "msg": str(error)}
        return result


def _named(job: Object) -> Object:
    """Give it a name that no other run's has."""
    metadata = job["metadata"] | {"name": f"{job['metadata']['name']}-{secrets.token_hex(3)}"}
    return {**job, "metadata": metadata}
