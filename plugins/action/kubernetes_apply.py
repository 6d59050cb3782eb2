"""Runs `homeserver.stack.kubernetes_apply` on the control machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import Object, read
from ansible_collections.homeserver.stack.plugins.plugin_utils.apply_action import ApplyAction, Wanted
from ansible_collections.homeserver.stack.plugins.plugin_utils.cluster_action import Arguments


class ActionModule(ApplyAction):
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
        wanted = Wanted(**{name: arguments[name] for name in Wanted._fields if name in arguments})
        present = wanted.state == "present"
        objects = [*self._objects(arguments, task_vars)] if present else []
        return self.apply(wanted, objects, arguments["kubeconfig"], task_vars)

    def _objects(self, arguments: Arguments, task_vars: dict[str, Any]) -> Iterator[Object]:
        """Read all manifests: definitions, files and templates."""
        for number, definition in enumerate(arguments["definitions"], 1):
            yield from read(json.dumps(definition), f"definition {number}")
        for name in arguments["files"]:
            yield from self.read_file(name)
        for name in arguments["templates"]:
            yield from self.render(name, task_vars)
