"""What each component of a home declares about itself, in its role's meta/component.yml."""

from __future__ import annotations

from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from .libraries import missing

try:
    import yaml
except ImportError as error:
    yaml = missing(error)

Declaration = dict[str, Any]

_ROLES = Path(__file__).parents[2] / "roles"
_ENDINGS = {
    "password": (".password",),
    "token": (".token",),
    "key": (".key",),
    "certificate": (".key", ".crt"),
}
"""How the files of a kind of secret end."""


@cache
def components() -> dict[str, Declaration]:
    """Return all declarations by the role, each after those that it needs."""
    files = sorted(_ROLES.glob("*/meta/component.yml"))
    declared = {file.parents[1].name: yaml.safe_load(file.read_text()) for file in files}
    needed = {
        role: [name for name in declared if name in each.get("needs", [])] for role, each in declared.items()
    }
    return {role: declared[role] for role in TopologicalSorter(needed).static_order()}


def pages() -> list[str]:
    """Return the host names of all pages without the domain, those of the component that comes last first."""
    return [page for each in reversed(components().values()) for page in each.get("pages", {})]


def secrets() -> dict[str, dict[str, list[str]]]:
    """Return the secrets that can be rotated by name: their files, and the stages that hand them on."""
    return {
        name: {
            "files": _files(name, secret["kind"]),
            "stages": list(dict.fromkeys(_stage(user) for user in (role, *secret.get("used_by", [])))),
        }
        for name, role, secret in _secrets()
        if "unrotatable" not in secret
    }


def unrotatable_secrets() -> dict[str, str]:
    """Return why the other secrets cannot be rotated, by name."""
    return {name: secret["unrotatable"] for name, _, secret in _secrets() if "unrotatable" in secret}


def _secrets() -> list[tuple[str, str, Declaration]]:
    """Return the name, the role and the declaration of each secret."""
    declared = components().items()
    found = [
        (name, role, each["secrets"][name]) for role, each in declared for name in each.get("secrets", {})
    ]
    return sorted(found, key=lambda secret: secret[0])


def _files(name: str, kind: str) -> list[str]:
    stem = name.removesuffix("_certificate") if kind == "certificate" else name
    return [stem + ending for ending in _ENDINGS[kind]]


def _stage(role: str) -> str:
    stage: str = components()[role]["stage"]
    return stage
