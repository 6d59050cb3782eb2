"""Filters that tell of backups."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"backups_told": told}


def told(printed: Mapping[str, str], now: float | None = None) -> str:
    """Say how old the last backup in each repository is.

    Args:
        printed: What backup.py says of its status, by machine; empty for one that does not answer.
        now: Seconds since 1970.
    """
    parts = [part for machine, text in printed.items() for part in _parts(machine, text, now or time.time())]
    alone = len(printed) == 1
    lines = [what if alone else f"{machine} {what}" for machine, what in parts]
    return ", ".join(lines) or "off (backup_repositories)"


def _parts(machine: str, text: str, now: float) -> Iterator[tuple[str, str]]:
    try:
        repositories = json.loads(text)
    except ValueError:
        yield machine, "does not say"
        return
    for name, about in repositories.items():
        age = f"{_age(now - about['success'])} ago" if "success" in about else "not yet"
        failing = "; ".join(about["failures"])
        yield machine, f"{name} {age}" + (f" (failing: {failing})" if failing else "")


def _age(seconds: float) -> str:
    hours = int(seconds // 3600)
    if hours < 1:
        return f"{int(seconds // 60)} min"
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"
