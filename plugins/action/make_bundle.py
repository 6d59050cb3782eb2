"""Runs `homeserver.stack.make_bundle` on the control machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.homeserver.stack.plugins.module_utils.nodes.snap_store import Store
from ansible_collections.homeserver.stack.plugins.module_utils.registry import bundle_maker
from ansible_collections.homeserver.stack.plugins.module_utils.registry.downloads import DownloadError, Web
from ansible_collections.homeserver.stack.plugins.plugin_utils.registry_action import (
    Arguments,
    RegistryAction,
)


class ActionModule(RegistryAction):
    """Download on the control machine, so hosts need no internet."""

    ARGUMENTS: ClassVar = {
        "directory": {"type": "path", "required": True},
        "platform": {"type": "str", "choices": ["linux/amd64", "linux/arm64"], "required": True},
        "channel": {"type": "str", "required": True},
        "images": {"type": "dict", "required": True},
        "manifests": {"type": "dict", "required": True},
        "store": {"type": "str", "default": "https://api.snapcraft.io"},
    }

    def act(self, arguments: Arguments, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Make the bundle; an error from a server fails the task with its message."""
        if self._task.check_mode:
            return {"skipped": True, "msg": "a dry run downloads nothing"}
        directory = Path(arguments["directory"]).expanduser()
        try:
            changed = bundle_maker.make(
                directory,
                arguments["platform"],
                bundle_maker.Wanted(arguments["channel"], arguments["images"], arguments["manifests"]),
                self._sources(arguments, task_vars),
                self._display.display,
            )
        except DownloadError as error:
            return {"failed": True, "msg": f"{error}\nRun it again: it continues where it stopped."}
        except OSError as error:
            wrong = f"{error.filename or directory} cannot be written: {error.strerror}"
            return {"failed": True, "msg": f"{wrong} -> free space, or set another bundle_dir"}
        return {"changed": changed, "directory": str(directory)}

    def _sources(self, arguments: Arguments, task_vars: dict[str, Any]) -> bundle_maker.Sources:
        web = Web(self._display.display)
        registries = self.registries(web, arguments, task_vars)
        return bundle_maker.Sources(web, Store(web, arguments["store"]), registries)
