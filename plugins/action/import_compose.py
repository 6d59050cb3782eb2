"""Runs `homeserver.stack.import_compose` on the control machine."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.homeserver.stack.plugins.module_utils.compose.entries import (
    Imported,
    slug,
    translate,
)
from ansible_collections.homeserver.stack.plugins.module_utils.compose.project import (
    ComposeError,
    read_project,
)
from ansible_collections.homeserver.stack.plugins.module_utils.compose.writing import remarks, written
from ansible_collections.homeserver.stack.plugins.module_utils.files import write_atomic
from ansible_collections.homeserver.stack.plugins.module_utils.registry.client import Registries
from ansible_collections.homeserver.stack.plugins.module_utils.registry.downloads import DownloadError, Web
from ansible_collections.homeserver.stack.plugins.plugin_utils.registry_action import (
    Arguments,
    RegistryAction,
)

_PATIENCE = 10.0  # seconds for each registry


class ActionModule(RegistryAction):
    """Run on the control machine, where the files are."""

    ARGUMENTS: ClassVar = {
        "file": {"type": "path", "required": True},
        "directory": {"type": "path", "required": True},
        "app": {"type": "str", "default": ""},
        "page": {"type": "str", "default": ""},
        "profiles": {"type": "list", "elements": "str", "default": []},
        "replace": {"type": "bool", "default": False},
    }

    def act(self, arguments: Arguments, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Print the lists, and write the file."""
        file = Path(arguments["file"])
        try:
            project = read_project(file, arguments["app"], None, arguments["profiles"])
        except ComposeError as error:
            return {"failed": True, "msg": str(error)}
        registries = self.registries(Web(self._display.vv, patience=_PATIENCE), arguments, task_vars)
        imported = translate(project, arguments["page"], partial(_user, registries, {}))
        self._show(imported)
        if imported.impossible:
            fix = "change the compose file as the list says, or apply the app with kubectl: docs/apps.md"
            return {"failed": True, "msg": f"{file} cannot be imported as it is -> {fix}"}
        return self._write(arguments, slug(project.name), imported)

    def _write(self, arguments: Arguments, stack: str, imported: Imported) -> dict[str, Any]:
        target = Path(arguments["directory"]) / f"{stack}.yml"
        text = written(stack, arguments["file"], imported)
        before = target.read_text() if target.exists() else ""
        if before and before != text and not arguments["replace"]:
            wrong = f"{target} is there already, and different"
            return {"failed": True, "msg": f"{wrong} -> keep it, or replace it with -e replace=true"}
        if before != text and not self._task.check_mode:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(target, text.encode())
        names = [entry["name"] for entry in imported.entries]
        return {"changed": before != text, "file": str(target), "apps": names}

    def _show(self, imported: Imported) -> None:
        lists = {
            "Taken over": imported.taken,
            "Changed": remarks(imported.changed),
            "Not possible": remarks(imported.impossible),
            "Directories for apps_host_directories": list(dict.fromkeys(imported.directories)),
        }
        for title, lines in lists.items():
            if lines:
                self._display.display("\n".join([f"{title}:", *_indented(lines)]))


def _user(registries: Registries, away: dict[str, None], image: str) -> str | None:
    """Return the user of an image; a registry that does not answer is asked only once."""
    registry = image.partition("/")[0] if "." in image.partition("/")[0] else ""
    if registry in away:
        return None
    try:
        return registries.user(image)
    except (DownloadError, ValueError, KeyError):
        away[registry] = None
        return None


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]
