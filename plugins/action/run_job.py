"""Runs `homeserver.stack.run_job` on the control machine."""

from __future__ import annotations

import secrets
from typing import Any, ClassVar

from ..module_utils.kubernetes.jobs import run
from ..module_utils.kubernetes.objects import Object, prepare
from ..plugin_utils.cluster_action import Arguments, ClusterAction


class ActionModule(ClusterAction):
    """Run a Job to its end."""

    ARGUMENTS: ClassVar = {
        "application": {"type": "str", "required": True},
        "definition": {"type": "dict", "required": True},
        "timeout": {"type": "int", "default": 300},
    }
    SKIPPED_IN_CHECK_MODE = True

    def act(self, arguments: Arguments, task_vars: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Fail with what the Job wrote, if it fails."""
        (job,) = prepare(arguments["application"], [_with_unique_name(arguments["definition"])])
        cluster = self.connect(arguments["kubeconfig"])
        run(cluster, job, arguments["timeout"], say=self._display.display)
        return {}


def _with_unique_name(job: Object) -> Object:
    """Return the Job under a name that no other run uses."""
    metadata = job["metadata"] | {"name": f"{job['metadata']['name']}-{secrets.token_hex(3)}"}
    return {**job, "metadata": metadata}
