"""Runs `homeserver.stack.compose_data` on the control machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from ansible.plugins.action import ActionBase
from ansible_collections.homeserver.stack.plugins.module_utils.apps import LEVELS
from ansible_collections.homeserver.stack.plugins.module_utils.compose.entries import (
    Data,
    Imported,
    slug,
    translate,
)
from ansible_collections.homeserver.stack.plugins.module_utils.compose.project import (
    ComposeError,
    Project,
    read_project,
)
from ansible_collections.homeserver.stack.plugins.module_utils.files import write_atomic

_DOCKER = ("/var/lib/docker/volumes", "/var/snap/docker/common/var-lib-docker/volumes")
_FORMER = ".generated"
"""The suffix of a generated password that one of a compose file has replaced."""


class ActionModule(ActionBase):
    """Run on the control machine, where the compose file is."""

    ARGUMENTS: ClassVar = {
        "file": {"type": "path", "required": True},
        "app": {"type": "str", "default": ""},
        "profiles": {"type": "list", "elements": "str", "default": []},
        "data": {"type": "str", "default": ""},
        "present": {"type": "list", "elements": "dict", "default": []},
        "without": {"type": "list", "elements": "str", "default": []},
        "secrets": {"type": "path", "required": True},
        "passwords": {"type": "str", "choices": ["keep", "file", "generated"], "default": "keep"},
    }

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Read the file as the import does."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(self.ARGUMENTS)
        try:
            project = read_project(Path(arguments["file"]), arguments["app"], None, arguments["profiles"])
        except ComposeError as error:
            return result | {"failed": True, "msg": str(error)}
        imported = translate(project)
        without = arguments["without"]
        found = [each for each in volumes(imported, project, arguments) if each["name"] not in without]
        apps = [entry["name"] for entry in imported.entries]
        if wrong := _wrong(found, apps):
            return result | {"failed": True, "msg": wrong}
        directory = Path(arguments["secrets"]) / "apps" / slug(project.name)
        changed = False
        if not self._task.check_mode:
            changed = use_passwords(directory, imported.passwords, arguments["passwords"])
        return result | {"changed": changed, "project": project.docker_name, "volumes": found}


def volumes(imported: Imported, project: Project, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return each volume that had data in Docker, as it is in the cluster."""
    present = {each["claim"]: each for each in arguments["present"]}
    for each in imported.data:
        if not each.source:
            continue
        name = f"{each.app}-{each.volume}"
        found: dict[str, str] = next(
            (present[f"{space}/{name}"] for space in LEVELS if f"{space}/{name}" in present), {}
        )
        yield {
            "name": name,
            "claim": found.get("claim", ""),
            "path": found.get("path", ""),
            "node": found.get("node", ""),
            "sources": list(_sources(each, project, arguments["data"])),
        }


def _wrong(volumes: list[dict[str, Any]], apps: list[str]) -> str:
    """Return why the volumes cannot be filled; empty if they can."""
    if not volumes:
        return f"{', '.join(apps) or 'the file'} has no volume that had data in Docker -> nothing to do"
    if missing := [each["name"] for each in volumes if not each["claim"]]:
        return (
            f"the cluster has no volume {', '.join(missing)} -> first import the file, with"
            " playbooks/import_compose.yml, and run site.yml; and name the app as there: -e app=<name>"
        )
    return ""


def _sources(data: Data, project: Project, given: str) -> Iterator[str]:
    """Return the directories that the data of a volume may be in, the likeliest first."""
    if not data.source.startswith("/"):
        for directory in (given, *_DOCKER):
            if directory:
                yield f"{directory}/{data.source}/_data"
        if given:
            short = data.source.removeprefix(f"{project.docker_name}_")
            yield from (f"{given}/{name}" for name in dict.fromkeys((data.source, short)))
        return
    path = Path(data.source)
    if given and path.is_relative_to(project.directory):
        inside = path.relative_to(project.directory)
        yield from (str(Path(given, inside)), str(Path(given, project.directory.name, inside)))
    elif given:
        yield from (f"{given}{path}", str(Path(given, path.name)))
    else:
        yield str(path)


def use_passwords(directory: Path, passwords: list[tuple[str, str]], wanted: str) -> bool:
    """Use the passwords of a file, or the generated ones again, and return whether any was changed."""
    changed = False
    for name, value in passwords if wanted != "keep" else ():
        file, former = directory / name, directory / f"{name}{_FORMER}"
        if wanted == "generated" and former.exists():
            former.replace(file)
            changed = True
        elif wanted == "file" and (not file.exists() or file.read_text().rstrip() != value):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if file.exists() and not former.exists():
                write_atomic(former, file.read_bytes())
            write_atomic(file, f"{value}\n".encode())
            changed = True
    return changed
