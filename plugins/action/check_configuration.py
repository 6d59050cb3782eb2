"""Runs `homeserver.stack.check_configuration` on the control machine."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.checks import Check, live_files, run
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.cluster import Cluster
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import Object
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.waiting import Say
from ansible_collections.homeserver.stack.plugins.plugin_utils.cluster_action import Arguments, ClusterAction


class ActionModule(ClusterAction):
    """Check a configuration that is not in the cluster yet."""

    ARGUMENTS: ClassVar = {
        "application": {"type": "str", "required": True},
        "command": {"type": "list", "elements": "str", "required": True},
        "files": {"type": "dict", "required": True},
        "image": {"type": "str", "required": True},
        "initially": {"type": "bool", "default": True},
        "live": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "kind": {"type": "str", "choices": ["ConfigMap", "Secret"], "required": True},
                "name": {"type": "str", "required": True},
                "namespace": {"type": "str", "required": True},
            },
        },
        "timeout": {"type": "int", "default": 300},
    }
    SKIPPED_IN_CHECK_MODE = True

    def act(self, arguments: Arguments, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Fail with what the program says about the configuration, or do nothing."""
        cluster = self.connect(arguments.pop("kubeconfig"))
        _check(cluster, say=self._display.display, logins=self.logins(task_vars), **arguments)
        return {}


def _check(
    cluster: Cluster, live: list[dict[str, str]], timeout: int, initially: bool, say: Say, **check: Any
) -> None:
    files = live_files(cluster, [_holder(**each) for each in live])
    if files == check["files"] or (files is None and not initially):
        return
    run(cluster, Check(**check), timeout, say)


def _holder(kind: str, name: str, namespace: str) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}}
