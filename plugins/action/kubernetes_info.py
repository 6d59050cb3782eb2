"""Runs `homeserver.stack.kubernetes_info` on the control machine."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.homeserver.stack.plugins.plugin_utils.cluster_action import Arguments, ClusterAction


class ActionModule(ClusterAction):
    """Read objects of the cluster."""

    ARGUMENTS: ClassVar = {
        "api_version": {"type": "str", "default": "v1"},
        "kind": {"type": "str", "required": True},
    }

    def act(self, arguments: Arguments, task_vars: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Return all objects of a kind."""
        cluster = self.connect(arguments["kubeconfig"])
        return {"resources": cluster.find(arguments["api_version"], arguments["kind"])}
