"""The saved objects of an owner: finds their flaws, and prepares their text for Kibana."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .problem import Problem

LARGEST = 1_000_000  # bytes; a ConfigMap holds 1 MiB

Place = tuple[str, str]
"""The type and the id of an object, which are unique in Kibana."""


def ids(text: str) -> list[Place]:
    """Return the objects of a file without flaws."""
    return [(each["type"], each["id"]) for _, each in _objects(text)]


def load(paths: Iterable[str]) -> list[str]:
    """Read files without flaws."""
    return [_path(path).read_text() for path in paths]


def flaws(paths: Iterable[str], taken: Iterable[Iterable[str]]) -> Iterator[Problem]:
    """Return all problems with the files of an owner.

    Args:
        paths: the files.
        taken: type and id of this project's own objects.
    """
    owners: dict[Place, str] = dict.fromkeys(
        ((kind, name) for kind, name in taken), "an object of this project"
    )
    for path in paths:
        try:
            places = ids(_read(path))
        except ValueError as error:
            yield Problem(
                f"{path} {error}", "export it from Kibana again, under Stack Management, Saved Objects"
            )
            continue
        for place in places:
            owner = owners.setdefault(place, path)
            if owner != path:
                kind, name = place
                yield Problem(f"{path} has the {kind} {name}, as has {owner}", "take it out of one of them")


def _read(path: str) -> str:
    """Read one file.

    Raises:
        ValueError: it has no saved objects; the message continues a sentence that begins with its name.
    """
    try:
        text = _path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"is not a text in UTF-8 (byte {error.start})") from error
    if len(text.encode()) > LARGEST:
        raise ValueError(f"is too large (more than {LARGEST} bytes)")
    found = list(_objects(text))
    for number, each in found:
        _check(number, each)
    if not found:
        raise ValueError("has no saved objects")
    return text


def _check(number: int, each: Any) -> None:
    if not isinstance(each, dict):
        raise ValueError(f"is not a file of saved objects (line {number} is no object)")
    for key in ("id", "type"):
        if not isinstance(each.get(key), str) or not each[key]:
            raise ValueError(f'is not a file of saved objects (line {number} has no "{key}")')
    if not isinstance(each.get("attributes"), dict):
        raise ValueError(f'is not a file of saved objects (line {number} has no "attributes")')


def _path(path: str) -> Path:
    return Path(path).expanduser()


def _objects(text: str) -> Iterator[tuple[int, Any]]:
    """Return the objects of a file by line number; the last line may contain their count."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            each = json.loads(line)
        except ValueError as error:
            raise ValueError(f"is not JSON, an object in each line (line {number}: {error})") from error
        if not (isinstance(each, dict) and "exportedCount" in each):
            yield number, each
