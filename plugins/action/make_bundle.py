"""Runs `homeserver.stack.make_bundle` on the control machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.homeserver.stack.plugins.module_utils.nodes.snap_store import Store
from ansible_collections.homeserver.stack.plugins.module_utils.registry import bundle_maker
from ansible_collections.homeserver.stack.plugins.module_utils.registry.client import Registries
from ansible_collections.homeserver.stack.plugins.module_utils.registry.downloads import DownloadError, Web

_ARGUMENTS = {
    "directory": {"type": "path", "required": True},
    "platform": {"type": "str", "choices": ["linux/amd64", "linux/arm64"], "required": True},
    "channel": {"type": "str", "required": True},
    "images": {"type": "dict", "required": True},
    "manifests": {"type": "dict", "required": True},
    "mirrors": {"type": "dict", "default": {}},
    "store": {"type": "str", "default": "https://api.snapcraft.io"},
}


class ActionModule(ActionBase):
    """Download on the control machine, so hosts need no internet."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make the bundle; an error from a server fails the task with its message."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(_ARGUMENTS)
        if self._task.check_mode:
            return result | {"skipped": True, "msg": "a dry run downloads nothing"}
        directory = Path(arguments["directory"]).expanduser()
        try:
            changed = bundle_maker.make(
                directory,
                arguments["platform"],
                bundle_maker.Wanted(arguments["channel"], arguments["images"], arguments["manifests"]),
                self._sources(arguments, task_vars or {}),
                self._display.display,
            )
        except DownloadError as error:
            return result | {"failed": True, "msg": f"{error}\nRun it again: it continues where it stopped."}
        except OSError as error:
            wrong = f"{error.filename or directory} cannot be written: {error.strerror}"
            return result | {"failed": True, "msg": f"{wrong} -> free space, or set another bundle_dir"}
        return result | {"changed": changed, "directory": str(directory)}

    def _sources(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> bundle_maker.Sources:
        # Logins are not an argument, because a result would show them.
        logins = self._templar.template(task_vars.get("homeserver_registry_logins", []))
        web = Web(self._display.display)
        registries = Registries(web, arguments["mirrors"], logins)
        return bundle_maker.Sources(web, Store(web, arguments["store"]), registries)
