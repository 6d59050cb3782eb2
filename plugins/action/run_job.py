"""Runs `homeserver.stack.run_job` on the control machine."""

from __future__ import annotations

import secrets
from typing import Any, ClassVar

from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.jobs import finish, run
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import Object, prepare
from ansible_collections.homeserver.stack.plugins.plugin_utils.cluster_action import Arguments, ClusterAction


class ActionModule(ClusterAction):
    """Run a Job to its end, or start one that another task waits for."""

    ARGUMENTS: ClassVar = {
        "application": {"type": "str", "required": True},
        "definition": {"type": "dict", "required": True},
        "timeout": {"type": "int", "default": 300},
        "wait": {"type": "bool", "default": True},
        "attach": {"type": "bool", "default": False},
    }
    SKIPPED_IN_CHECK_MODE = True

    def act(self, arguments: Arguments, task_vars: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Fail with the output of the Job, if it fails."""
        definition = arguments["definition"]
        if not arguments["attach"]:
            definition = _with_unique_name(definition)
        (job,) = prepare(arguments["application"], [definition])
        cluster = self.connect(arguments["kubeconfig"])
        if not arguments["wait"]:
            cluster.apply(job, dry_run=False)
        elif arguments["attach"]:
            finish(cluster, job, arguments["timeout"], say=self._display.display)
        else:
            run(cluster, job, arguments["timeout"], say=self._display.display)
        return {"definition": definition}


def _with_unique_name(job: Object) -> Object:
    """Return the Job under a name that no other run uses."""
    metadata = job["metadata"] | {"name": f"{job['metadata']['name']}-{secrets.token_hex(3)}"}
    return {**job, "metadata": metadata}
