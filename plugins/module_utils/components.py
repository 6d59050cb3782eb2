"""The declarations of all components, from each role's meta/component.yml."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from .libraries import missing

try:
    import yaml
except ImportError as error:
    yaml = missing(error)

Declaration = dict[str, Any]

Value = Callable[[Any], Any]
"""Evaluates the expressions in a declaration."""

Holds = Callable[[str, "str | bool"], bool]
"""Evaluates a condition of a role's declaration."""

_KEEPS_WORKLOADS = "{{ homeserver_workloads_state == 'present' }}"
_ROLES = Path(__file__).parents[2] / "roles"
_ENDINGS = {
    "password": (".password",),
    "token": (".token",),
    "key": (".key",),
    "certificate": (".key", ".crt"),
}
"""The file extensions for each kind of secret."""


@cache
def components() -> dict[str, Declaration]:
    """Return all declarations by role, each after those it needs."""
    files = sorted(_ROLES.glob("*/meta/component.yml"))
    declared = {file.parents[1].name: yaml.safe_load(file.read_text()) for file in files}
    needed = {
        role: [name for name in declared if name in each.get("needs", [])] for role, each in declared.items()
    }
    return {role: declared[role] for role in TopologicalSorter(needed).static_order()}


def pages() -> list[str]:
    """Return the host names of all pages without the domain. The component that is applied last is first."""
    return [page for page, _, _ in _pages()]


def served_pages(holds: Holds) -> dict[str, bool]:
    """Return whether each page is served."""
    return {page: _is_enabled(role, holds) and holds(role, condition) for page, role, condition in _pages()}


def _pages() -> Iterator[tuple[str, str, str | bool]]:
    for role, each in reversed(components().items()):
        for page, condition in each.get("pages", {}).items():
            yield page, role, condition


def enabled(holds: Holds) -> dict[str, bool]:
    """Return whether each component runs."""
    return {role: _is_enabled(role, holds) for role in components()}


def used_namespaces(holds: Holds) -> dict[str, bool]:
    """Return whether a component runs in each namespace."""
    declared = [(each["namespace"], role) for role, each in components().items() if "namespace" in each]
    used = {name for name, role in declared if _is_enabled(role, holds)}
    return {name: name in used for name, _ in declared}


def own_namespaces(role: str, value: Value) -> dict[str, str]:
    """Return the namespaces that a component creates, each with its Pod Security Standard.

    Of several components in one namespace, the one that is applied first creates it.
    """
    declared = components()[role]
    namespace = declared.get("namespace")
    levels: dict[str, str] = value(declared.get("pod_security", {}))
    first = next(name for name, each in components().items() if each.get("namespace") == namespace)
    return ({namespace: "restricted"} if namespace and role == first else {}) | levels


def full_name(pod: str, declared: Declaration) -> str:
    """Return a pod with its namespace. The default is the component's."""
    return pod if "/" in pod else f"{declared['namespace']}/{pod}"


def runs(declared: Declaration, value: Value) -> bool:
    """Return whether a component runs. None with a namespace does while all workloads are removed."""
    return bool(value(declared["enabled"]) and ("namespace" not in declared or value(_KEEPS_WORKLOADS)))


def scraped_pods(value: Value) -> dict[str, list[str]]:
    """Return the pods that run and that Prometheus scrapes, by namespace."""
    found: dict[str, list[str]] = {}
    for declared in components().values():
        endpoints = value(declared.get("scraped", [])) if runs(declared, value) else []
        scraped = {endpoint.partition(":")[0] for endpoint in endpoints}
        for pod, targets in declared.get("connects", {}).items():
            namespace, _, name = full_name(pod, declared).partition("/")
            pods = found.setdefault(namespace, [])
            if name in scraped and value(targets) is not None:
                pods.append(name)
    return found


def routed_namespaces(value: Value) -> list[str]:
    """Return the namespaces of the components that run and that Traefik connects to."""
    return sorted(
        {
            declared["namespace"]
            for declared in components().values()
            if runs(declared, value) and value(declared.get("routed"))
        }
    )


def needs_image(image: str, holds: Holds) -> bool:
    """Return whether a component that runs needs an image, or no component declares it."""
    users = [
        (role, each["images"][image])
        for role, each in components().items()
        if image in each.get("images", {})
    ]
    return not users or any(_is_enabled(role, holds) and holds(role, condition) for role, condition in users)


def _is_enabled(role: str, holds: Holds) -> bool:
    return runs(components()[role], partial(holds, role))


def secrets() -> dict[str, dict[str, list[str]]]:
    """Return the secrets that can be rotated, by name: their files, and the stages that distribute them."""
    return {
        name: {
            "files": _files(name, secret["kind"]),
            "stages": list(dict.fromkeys(_stage(user) for user in (role, *secret.get("used_by", [])))),
        }
        for name, role, secret in _secrets()
        if "unrotatable" not in secret
    }


def secret_files(role: str) -> list[str]:
    """Return the names of the files of all secrets that a component generates."""
    return [
        file for name, owner, secret in _secrets() if owner == role for file in _files(name, secret["kind"])
    ]


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
