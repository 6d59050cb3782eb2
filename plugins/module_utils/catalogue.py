"""Merges an entry of the option apps with the entries of the catalogue that it names.

The catalogue is `roles/apps/catalogue/`: a file for each app, with the entries of its stack. The first one
is the app itself, and the names of the others begin with its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .apps import App, routes

_ADDED_TO = ("env", "files", "secrets", "sysctls")
"""Dictionaries of which an entry changes single keys."""


def unknown(name: str, known: Sequence[str]) -> str:
    """Return the message about an app that is not in the catalogue."""
    expected = f"(expected one of {', '.join(known)})"
    return f"apps: from is {name!r} {expected} -> name one of them: docs/catalogue.md"


def context(entry: App, domain: str, secrets: str) -> dict[str, str]:
    """Return the variables of the catalogue's expressions.

    Args:
        entry: an owner's entry with the key `from`.
        domain: the home's domain.
        secrets: the directory of the home's passwords.
    """
    name = str(entry.get("name", entry["from"]))
    own = {"name": name, **entry}
    first = next(routes(own, domain), {"host": f"{name}.{domain}"})
    return {"app_name": name, "app_host": first["host"], "app_secrets": f"{secrets}/apps/{name}"}


def merged(stack: Sequence[App], entry: App) -> list[dict[str, Any]]:
    """Return the entries of a stack, changed by an owner's entry.

    Args:
        stack: the entries of the catalogue.
        entry: the owner's, with the key `from`. Its key `parts` changes the others, all else but its name
            the first one.
    """
    old = entry["from"]
    main, *others = (_renamed(each, old, entry.get("name", old)) | {"from": old} for each in stack)
    changes = entry.get("parts", {})
    return [_changed(main, entry), *(_changed(each, changes.get(part(each, main), {})) for each in others)]


def part(app: App, main: App) -> str:
    """Return the name of an app of a stack, without that of the first one."""
    return str(app["name"]).removeprefix(f"{main['name']}-")


def _changed(app: Mapping[str, Any], change: App) -> dict[str, Any]:
    """Return an entry of the catalogue with the keys of another one, which is not named by them."""
    # An app has either of them.
    left_out = {"host"} if "routes" in change else {"routes"} if "host" in change else set()
    kept = {key: value for key, value in app.items() if key not in left_out}
    if "secrets" in change:  # a variable may become a secret one
        kept["env"] = {
            key: value for key, value in app.get("env", {}).items() if key not in change["secrets"]
        }
    added: dict[str, Any] = {key: {**kept.get(key, {}), **change[key]} for key in _ADDED_TO if key in change}
    if "volumes" in change:
        added["volumes"] = _with_volumes(kept.get("volumes", []), change["volumes"])
    return {**kept, **change, **added, "name": app["name"]}


def is_part(app: App) -> bool:
    """Return whether an entry belongs to another one, which named the catalogue."""
    return "from" in app and app["name"] != app.get("stack", app["name"])


def _with_volumes(
    known: Sequence[Mapping[str, Any]], changes: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    volumes = {each["name"]: dict(each) for each in known}
    for change in changes:
        volumes[change["name"]] = {**volumes.get(change["name"], {}), **change}
    return list(volumes.values())


def _renamed(app: App, old: str, new: str) -> dict[str, Any]:
    """Return an entry of a stack with the names that belong to its new name."""

    def name(given: str) -> str:
        return new + given.removeprefix(old)

    found: dict[str, Any] = {**app, "name": name(app["name"])}
    if "needs" in app:
        found["needs"] = [name(each) if each.startswith(f"{old}-") else each for each in app["needs"]]
    if "stack" in app:
        found["stack"] = name(app["stack"])
    if "volumes" in app:
        found["volumes"] = [
            {**each, "app": name(each["app"])} if "app" in each else dict(each) for each in app["volumes"]
        ]
    return found
