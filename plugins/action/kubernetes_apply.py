"""Runs `homeserver.stack.kubernetes_apply` on the control machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.application import (
    Application,
    Outcome,
    without_cluster,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.cluster import UnreachableError
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.logins import with_pull_secrets
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import Object, read
from ansible_collections.homeserver.stack.plugins.plugin_utils.cluster_action import Arguments, ClusterAction
from ansible_collections.homeserver.stack.plugins.plugin_utils.rendering import render


class ActionModule(ClusterAction):
    """Render manifests and apply them, or delete an application."""

    ARGUMENTS: ClassVar = {
        "application": {"type": "str", "required": True},
        "definitions": {"type": "list", "elements": "dict", "default": []},
        "files": {"type": "list", "elements": "path", "default": []},
        "partial": {"type": "bool", "default": False},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "templates": {"type": "list", "elements": "str", "default": []},
        "timeout": {"type": "int", "default": 300},
        "volumes": {"type": "str", "choices": ["keep", "delete"]},
    }

    def act(self, arguments: Arguments, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Render everything before anything is applied."""
        objects = with_pull_secrets(
            str(arguments["application"]), self._objects(arguments, task_vars), self.logins(task_vars)
        )
        outcome, warnings = self._carry_out(arguments, objects)
        for workload, seconds in outcome.away.items():
            self._display.display(f"{workload} was away for {seconds:.0f} s")
        result = {
            "away": outcome.away,
            "created": outcome.created,
            "updated": outcome.updated,
            "deleted": outcome.deleted,
            "changed": bool(outcome.created or outcome.updated or outcome.deleted),
            "warnings": warnings,
        }
        return result | ({"diff": outcome.diff} if self._task.diff else {})

    def _carry_out(self, arguments: Arguments, objects: list[Object]) -> tuple[Outcome, list[str]]:
        """Apply or delete the application; in check mode the cluster need not exist yet."""
        name = str(arguments["application"])  # without Ansible's tags, which YAML cannot represent
        present = arguments["state"] == "present"
        check_mode = self._task.check_mode
        try:
            cluster = self.connect(arguments["kubeconfig"])
        except UnreachableError as error:
            if not check_mode:
                raise
            outcome = without_cluster(name, objects) if present else Outcome()
            return outcome, [f"{name}: rendered, but not checked by Kubernetes: {error}"]
        timeout, say = arguments["timeout"], self._display.display
        application = Application(cluster, name, timeout=timeout, check_mode=check_mode, say=say)
        if present:
            delete_volumes = arguments["volumes"] == "delete"
            application.present(objects, partial=arguments["partial"], delete_volumes=delete_volumes)
        else:
            application.absent(delete_volumes=arguments["volumes"] != "keep")
        return application.outcome, cluster.warnings

    def _objects(self, arguments: Arguments, task_vars: dict[str, Any]) -> Iterator[Object]:
        """Read all manifests: definitions, files and templates.

        Raises:
            ManifestError: one is not a Kubernetes object.
            AnsibleError: a template or a file is not found, or a template cannot be rendered.
        """
        if arguments["state"] == "absent":
            return
        for number, definition in enumerate(arguments["definitions"], 1):
            yield from read(json.dumps(definition), f"definition {number}")
        for name in arguments["files"]:
            yield from read(Path(self._find_needle("files", name)).read_text(), name)
        for name in arguments["templates"]:
            yield from read(self._render(name, task_vars), name)

    def _render(self, name: str, task_vars: dict[str, Any]) -> str:
        return render(self._templar, self._loader, self._find_needle("templates", name), task_vars)
