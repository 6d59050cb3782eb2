"""Translates the services that end, such as migrations, after which others start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import Remarks
from .project import Service

Commands = dict[str, list[list[str]]]
# Without the trap, the first process of a container ignores the signal to stop.
_IDLE = 'trap "exit 0" TERM; "$@" || exit; while :; do sleep 3600 & wait $!; done'
_SHELLS = {"sh", "ash", "bash", "dash"}


def without_ending(services: Mapping[str, Service], remarks: Remarks) -> tuple[dict[str, Service], Commands]:
    """Return the services that go on, and the commands that run before them.

    A service that ends runs before those of the same image. One of another image runs by itself if its
    command is known, and idles afterwards.
    """
    left = dict(services)
    commands: Commands = {}
    for key, waiting in _waited_for(services).items():
        service = services[key]
        command = [*service.get("entrypoint", []), *service.get("command", [])]
        before = [each for each in waiting if command and _can_run_in(service, services[each])]
        for each in before:
            commands.setdefault(each, []).append(command)
        later = [each for each in waiting if each not in before]
        if before:
            remarks.change(
                key, "depends_on", f"it runs before each start of {', '.join(before)}, as a part of it"
            )
            del left[key]
        elif _shell(service):
            left[key] = service | {"entrypoint": _then_idle(command), "command": []}
        else:
            wrong = f"{', '.join(waiting)} waits for it to end, with another image, user or volumes"
            remarks.refuse(
                key, "depends_on", f"{wrong} -> run its command once by hand, and remove the service"
            )
            continue
        if later:
            remarks.change(
                key, "depends_on", f"{', '.join(later)} starts without waiting for it, and again if it fails"
            )
    return left, commands


def _waited_for(services: Mapping[str, Service]) -> dict[str, list[str]]:
    """Return the services that others wait for to end, with the names of those."""
    found: dict[str, list[str]] = {}
    for name, service in services.items():
        for key, how in service.get("depends_on", {}).items():
            condition = (how or {}).get("condition")
            if condition == "service_completed_successfully" and key in services and key != name:
                found.setdefault(key, []).append(name)
    return found


def _can_run_in(service: Service, other: Service) -> bool:
    """Return whether a service finds in another one all that its command needs."""
    same = all(service.get(key) == other.get(key) for key in ("image", "build", "user", "working_dir"))
    known = other["environment"]
    variables = all(known.get(name) == value for name, value in service["environment"].items())
    mounted = {repr(each).removesuffix(":ro") for each in _mounted(other)}
    return same and variables and all(repr(each).removesuffix(":ro") in mounted for each in _mounted(service))


def _mounted(service: Service) -> list[Any]:
    return [each for key in ("volumes", "secrets", "configs") for each in service.get(key, [])]


def _shell(service: Service) -> bool:
    first = service.get("entrypoint", [""])[:1] or [""]
    return first[0].rpartition("/")[2] in _SHELLS


def _then_idle(command: list[str]) -> list[str]:
    """Return a command that idles after another one has succeeded."""
    return [command[0], "-c", _IDLE, command[0], *command]
