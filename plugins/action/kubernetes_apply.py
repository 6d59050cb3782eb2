"""Runs `homeserver.stack.kubernetes_apply`, rendering and applying from the control machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

from ..module_utils.kubernetes_application import Application, Outcome, without_cluster
from ..module_utils.kubernetes_cluster import Cluster, RefusedError, UnreachableError
from ..module_utils.kubernetes_objects import ManifestError, Object, read
from ..module_utils.kubernetes_waiting import ApplicationError

ARGUMENTS: dict[str, dict[str, Any]] = {
    "application": {"type": "str", "required": True},
    "definitions": {"type": "list", "elements": "dict", "default": []},
    "files": {"type": "list", "elements": "path", "default": []},
    "kubeconfig": {"type": "path", "required": True},
    "partial": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "templates": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 300},
}


class ActionModule(ActionBase):
    """The whole of the module: nothing of it runs elsewhere, so no Secret gets into a file or a log there."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Render everything, then apply it; or delete it."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(ARGUMENTS)
        try:
            objects = list(self._objects(arguments, task_vars or {}))
            outcome, result["warnings"] = self._carry_out(arguments, objects)
        except (ApplicationError, ManifestError, RefusedError, UnreachableError) as error:
            return result | {"failed": True, "msg": str(error)}
        result |= {"created": outcome.created, "updated": outcome.updated, "deleted": outcome.deleted}
        result["changed"] = bool(outcome.created or outcome.updated or outcome.deleted)
        if self._task.diff:
            result["diff"] = outcome.diff
        return result

    def _carry_out(self, arguments: dict[str, Any], objects: list[Object]) -> tuple[Outcome, list[str]]:
        """Do it in the cluster; in check mode, the cluster may be yet to come."""
        name = str(arguments["application"])
        present = arguments["state"] == "present"
        check_mode = self._task.check_mode
        try:
            cluster = Cluster(str(arguments["kubeconfig"]), patient=not check_mode)
        except UnreachableError as error:
            if not check_mode:
                raise
            outcome = without_cluster(name, objects) if present else Outcome()
            return outcome, [f"{name}: rendered, but not checked by Kubernetes: {error}"]
        application = Application(cluster, name, timeout=arguments["timeout"], check_mode=check_mode)
        if present:
            application.present(objects, partial=arguments["partial"])
        else:
            application.absent()
        return application.outcome, cluster.warnings

    def _objects(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> Iterator[Object]:
        """Read all manifests, wherever they come from.

        Raises:
            ManifestError: one is not what Kubernetes takes.
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
        path = self._find_needle("templates", name)
        source = trust_as_template(self._loader.get_text_file_contents(path))
        search = [str(Path(path).parent), *task_vars.get("ansible_search_path", [])]
        templar = self._templar.copy_with_new_env(searchpath=search, available_variables=task_vars)
        return str(templar.template(source, escape_backslashes=False) or "")
