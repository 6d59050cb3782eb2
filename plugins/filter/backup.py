"""Filters for the repositories, passwords and results of backups."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.homeserver.stack.plugins.module_utils.backup import keys


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "backup_location": keys.machine_location,
            "backup_password": keys.machine_password,
            "backup_sealed": keys.sealed,
            "backups_of": repositories_of,
            "backups_told": told,
            "former_backups": former,
        }


def repositories_of(repositories: Iterable[Mapping[str, Any]], host: str) -> list[dict[str, Any]]:
    """Return `backup_repositories` for a machine, without the access that prunes them."""
    return [
        {
            "name": each["name"],
            "location": keys.machine_location(each["location"], host),
            "parent": each["location"],
            "environment": each.get("environment") or {},
        }
        for each in repositories
    ]


def former(printed: Iterable[str], repositories: Iterable[Mapping[str, Any]]) -> list[str]:
    """Report repositories with backups from before each machine had its own repository.

    Args:
        printed: the status that the backup program prints on each machine.
        repositories: `backup_repositories`.
    """
    found = [about for text in printed for about in _statuses(text).items() if "former" in about[1]]
    return [
        _former(each, [about["former"] for name, about in found if name == each["name"]])
        for each in repositories
        if each["name"] in dict(found)
    ]


def _former(repository: Mapping[str, Any], known: list[Mapping[str, float]]) -> str:
    until = max(each.get("success", 0) for each in known)
    size = max(each.get("size", 0) for each in known) / 2**20
    day = time.strftime(" until %Y-%m-%d", time.localtime(until)) if until else ""
    return (
        f"Each machine is now saved to a repository of its own. The former one of {repository['name']},"
        f" written{day} with a password that every machine knew, has {size:.0f} MiB and gets nothing more."
        " Once you need none of its copies, delete it: docs/backup.md#a-repository-for-each-machine"
    )


def told(printed: Mapping[str, str], now: float | None = None) -> str:
    """Report the age of the last backup in each repository.

    Args:
        printed: The status that the backup program prints, by machine; empty if a machine does not answer.
        now: Seconds since 1970.
    """
    parts = [part for machine, text in printed.items() for part in _parts(machine, text, now or time.time())]
    alone = len(printed) == 1
    lines = [what if alone else f"{machine} {what}" for machine, what in parts]
    return ", ".join(lines) or "off (backup_repositories)"


def _statuses(text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError:
        return {}
    return found


def _parts(machine: str, text: str, now: float) -> Iterator[tuple[str, str]]:
    repositories = _statuses(text)
    if not repositories:
        yield machine, "does not say"
    for name, about in repositories.items():
        age = f"{_age(now - about['success'])} ago" if "success" in about else "not yet"
        failing = "; ".join(about["failures"])
        yield machine, f"{name} {age}" + (f" (failing: {failing})" if failing else "")


def _age(seconds: float) -> str:
    hours = int(seconds // 3600)
    if hours < 1:
        return f"{int(seconds // 60)} min"
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"
