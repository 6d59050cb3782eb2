"""Checks the types of a compose file's keys, and brings their values to one form each.

The types are those of https://github.com/compose-spec/compose-spec/blob/main/schema/compose-spec.json
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

Shape = Callable[[Any, str], Any]
"""Takes a value and its place, such as `web.ports`; returns the value in its one form."""


class ShapeError(Exception):
    """A value has another type than its key allows."""

    def __init__(self, place: str, value: Any, expected: str) -> None:
        super().__init__(f"{place} is {_kind(value)} (expected {expected})")
        self.place = place


def _kind(value: Any) -> str:
    if isinstance(value, str | bool | int | float):
        return f"{scalar(value)[:60]!r}"
    return {dict: "a dictionary", list: "a list", type(None): "empty"}.get(type(value), "of another type")


def scalar(value: Any) -> str:
    """Return a text, number or truth value as Compose writes it into an environment."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**21:
        return str(int(value))
    return str(value)


def text(value: Any, place: str) -> str:
    """Return a text, also of a number."""
    if not isinstance(value, str | bool | int | float):
        raise ShapeError(place, value, "a text")
    return scalar(value)


def flag(value: Any, place: str) -> bool:
    """Return a truth value, also of a variable's text."""
    found = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False, "": False}
    name = text(value, place).lower()
    if name not in found:
        raise ShapeError(place, value, "true or false")
    return found[name]


def whole(value: Any, place: str) -> int:
    """Return a whole number, also of a variable's text."""
    if not re.fullmatch(r"-?\d{1,18}", text(value, place).strip()) or isinstance(value, bool):
        raise ShapeError(place, value, "a whole number")
    return int(value)


def anything(value: Any, _: str) -> Any:
    """Return a value that is not looked at."""
    return value


def listed(of: Shape, value: Any, place: str) -> list[Any]:
    """Return a list, of which each entry has a shape."""
    if not isinstance(value, list):
        raise ShapeError(place, value, "a list")
    return [of(each, f"{place}[{index}]") for index, each in enumerate(value)]


def one_or_more(of: Shape, value: Any, place: str) -> list[Any]:
    """Return a list, also of a single value."""
    return listed(of, value if isinstance(value, list) else [value], place)


def mapped(of: Shape, value: Any, place: str) -> dict[str, Any]:
    """Return a dictionary, of which each value has a shape, or is None."""
    if not isinstance(value, Mapping):
        raise ShapeError(place, value, "a dictionary")
    return {str(key): None if each is None else of(each, f"{place}.{key}") for key, each in value.items()}


def assigned(value: Any, place: str) -> dict[str, Any]:
    """Return a dictionary of texts, also of a list of `name=value`; None is for a name alone."""
    if isinstance(value, list):
        pairs = [text(each, f"{place}[{index}]").partition("=") for index, each in enumerate(value)]
        return {name: found if sign else None for name, sign, found in pairs}
    return mapped(text, value, place)


def named(value: Any, place: str) -> dict[str, Any]:
    """Return a dictionary, also of a list of names."""
    if isinstance(value, list):
        return {text(each, f"{place}[{index}]"): None for index, each in enumerate(value)}
    return mapped(partial(fields, {}), value, place)


def fields(known: Mapping[str, Shape], value: Any, place: str) -> dict[str, Any]:
    """Return a dictionary, of which some keys have a shape; those without a value are left out."""
    if not isinstance(value, Mapping):
        raise ShapeError(place, value, "a dictionary")
    return {
        str(key): known.get(str(key), anything)(each, f"{place}.{key}")
        for key, each in value.items()
        if each is not None
    }


def words(value: Any, place: str) -> list[str]:
    """Return the words of a command, also of one that is a text."""
    if isinstance(value, list):
        return listed(text, value, place)
    line = text(value, place)
    try:
        return shlex.split(line)
    except ValueError:
        raise ShapeError(place, value, "a command whose quotes end") from None


def short_or_long(known: Mapping[str, Shape], needed: str, value: Any, place: str) -> Any:
    """Return a text, or a dictionary that has a key."""
    if not isinstance(value, Mapping):
        return text(value, place)
    found = fields(known, value, place)
    if needed and needed not in found:
        raise ShapeError(f"{place}.{needed}", None, "a value")
    return found


def test(value: Any, place: str) -> list[str]:
    """Return a health check as a list that begins with CMD, CMD-SHELL or NONE."""
    found: list[str] = (
        listed(text, value, place) if isinstance(value, list) else ["CMD-SHELL", text(value, place)]
    )
    if found and found[0] not in ("CMD", "CMD-SHELL", "NONE"):
        raise ShapeError(f"{place}[0]", found[0], "CMD, CMD-SHELL or NONE")
    return [] if len(found) < 2 or found[1:] == [""] else found


_texts = partial(listed, text)
_some = partial(one_or_more, text)
_entries = partial(listed, partial(short_or_long, {"source": text, "target": text}, ""))
_amounts = partial(fields, {"memory": text, "cpus": text, "devices": partial(listed, anything)})
_deploy = partial(
    fields,
    {
        "replicas": whole,
        "mode": text,
        "resources": partial(fields, {"limits": _amounts, "reservations": _amounts}),
    },
)
_mount: dict[str, Shape] = {
    "type": text,
    "source": text,
    "target": text,
    "read_only": flag,
    "bind": partial(fields, {"propagation": text}),
    "volume": partial(fields, {"subpath": text}),
    "tmpfs": partial(fields, {}),
}
_build: dict[str, Shape] = {
    "context": text,
    "dockerfile": text,
    "dockerfile_inline": text,
    "args": assigned,
    "target": text,
    "additional_contexts": assigned,
}
_port: dict[str, Shape] = {"target": text, "published": text, "protocol": text, "host_ip": text, "mode": text}
_networks = partial(mapped, partial(fields, {"aliases": _texts, "ipv4_address": text}))


def _joined(value: Any, place: str) -> dict[str, Any]:
    """Return the networks of a service."""
    found: dict[str, Any] = named(value, place) if isinstance(value, list) else _networks(value, place)
    return found


_SERVICE: dict[str, Shape] = {
    **dict.fromkeys(
        ("container_name", "cgroup_parent", "cpus", "domainname", "hostname", "image", "ipc", "mac_address"),
        text,
    ),
    **dict.fromkeys(
        ("mem_limit", "mem_reservation", "network_mode", "pid", "platform", "restart", "runtime", "shm_size"),
        text,
    ),
    **dict.fromkeys(
        ("stop_grace_period", "stop_signal", "user", "userns_mode", "working_dir", "isolation"), text
    ),
    **dict.fromkeys(("init", "privileged", "read_only", "stdin_open", "tty", "use_api_socket"), flag),
    "scale": whole,
    **dict.fromkeys(("cap_add", "device_cgroup_rules", "external_links", "group_add", "links"), _texts),
    **dict.fromkeys(("profiles", "security_opt", "volumes_from"), _texts),
    **dict.fromkeys(("dns", "dns_search", "tmpfs"), _some),
    **dict.fromkeys(("environment", "labels", "sysctls"), assigned),
    **dict.fromkeys(("command", "entrypoint"), words),
    "build": partial(short_or_long, _build, ""),
    "configs": _entries,
    "depends_on": named,
    "deploy": _deploy,
    "devices": partial(listed, partial(short_or_long, {"source": text, "target": text}, "")),
    "env_file": partial(
        one_or_more, partial(short_or_long, {"path": text, "required": flag, "format": text}, "path")
    ),
    "expose": _texts,
    "healthcheck": partial(
        fields,
        {"test": test, "disable": flag, "retries": whole, "interval": text, "start_period": text},
    ),
    "networks": _joined,
    "ports": partial(listed, partial(short_or_long, _port, "target")),
    "secrets": _entries,
    "volumes": partial(listed, partial(short_or_long, _mount, "target")),
}
_definition = partial(
    mapped,
    partial(
        fields,
        {
            "content": text,
            "driver": text,
            "driver_opts": assigned,
            "environment": text,
            "external": lambda value, place: bool(value) if isinstance(value, dict) else flag(value, place),
            "file": text,
            "internal": flag,
            "name": text,
        },
    ),
)
SECTIONS = ("configs", "networks", "secrets", "volumes")
"""The sections of a compose file besides services."""


def service(value: Any, place: str) -> dict[str, Any]:
    """Return a service in its one form; keys without a value are left out.

    Raises:
        ShapeError: a value has another type than its key allows.
    """
    return fields(_SERVICE, value, place)


def section(value: Any, place: str) -> dict[str, Any]:
    """Return one of `SECTIONS` in its one form.

    Raises:
        ShapeError: a value has another type than its key allows.
    """
    return {key: each or {} for key, each in _definition(value or {}, place).items()}


def extends(value: Any, place: str) -> dict[str, Any]:
    """Return the service, and perhaps the file, that a service extends.

    Raises:
        ShapeError: a value has another type than its key allows.
    """
    found = short_or_long({"service": text, "file": text}, "service", value, place)
    return found if isinstance(found, dict) else {"service": found}


def include(value: Any, place: str) -> list[dict[str, Any]]:
    """Return the files that a file includes.

    Raises:
        ShapeError: a value has another type than its key allows.
    """
    known: dict[str, Shape] = {"path": _some, "project_directory": text, "env_file": _some}
    found = listed(partial(short_or_long, known, "path"), value, place)
    return [each if isinstance(each, dict) else {"path": [each]} for each in found]
