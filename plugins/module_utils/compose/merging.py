"""Merges a service with the one that it extends, or with its override.

The rules are those of https://docs.docker.com/reference/compose-file/merge/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_REPLACED = {"command", "entrypoint", "test"}
_ASSIGNED = {"annotations", "args", "environment", "extra_hosts", "labels", "sysctls"}
_NAMED = {"depends_on", "networks"}
_BY_TARGET = {"configs", "devices", "secrets", "volumes"}


def merged(base: Any, own: Any, key: str = "") -> Any:
    """Return a value with that of the same key in a service that it extends."""
    if own is None or key in _REPLACED:
        return base if own is None else own
    if key in _ASSIGNED or key in _NAMED:
        base, own = _dictionary(base, key), _dictionary(own, key)
    if key in _ASSIGNED and isinstance(base, Mapping) and isinstance(own, Mapping):
        return {**base, **own}
    if isinstance(base, Mapping) and isinstance(own, Mapping):
        return {**base, **{name: merged(base.get(name), each, str(name)) for name, each in own.items()}}
    if isinstance(base, list) and isinstance(own, list):
        places = {_place(each, key): each for each in [*base, *own]}
        return list(places.values())
    return own


def _dictionary(value: Any, key: str) -> Any:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        return value
    if key in _NAMED:
        return dict.fromkeys(value)
    pairs = [each.partition("=" if "=" in each else ":" if key == "extra_hosts" else "=") for each in value]
    return {name: found if sign else None for name, sign, found in pairs}


def _place(entry: Any, key: str) -> str:
    """Return the identity of an entry of a list: a later one replaces an earlier one of the same place."""
    if key in _BY_TARGET and isinstance(entry, Mapping):
        return str(entry.get("target") or entry.get("source"))
    if key in ("devices", "volumes") and isinstance(entry, str):
        parts = entry.split(":")
        return parts[1] if len(parts) > 1 else parts[0]
    return repr(entry)
