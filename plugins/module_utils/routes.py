"""The routes of a home, which serve its host names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .apps import routes as app_routes

_HOST = re.compile(r"Host\(`([^`]+)`\)")
_PATH = re.compile(r"PathPrefix\(`([^`]+)`\)")


class Route(NamedTuple):
    """A host name and a path prefix, with the owner of the route."""

    host: str
    path: str
    owner: str


def routes(
    domain: str,
    own: Mapping[str, str],
    apps: Iterable[Mapping[str, Any]],
    others: Iterable[Mapping[str, Any]],
) -> Iterator[Route]:
    """Return all routes.

    Args:
        domain: the home's domain.
        own: the host names of this project's components, by name.
        apps: entries of the option apps.
        others: entries of traefik_routes.
    """
    for name, host in own.items():
        yield Route(host, "/", f"the one of this project's own {name}")
    for app in apps:
        for place in app_routes(app, domain):
            yield Route(**place, owner=f"{app['name']} in apps")
    for other in others:
        yield Route(other["host"], other.get("path") or "/", f"{other['name']} in traefik_routes")


def served_paths(ingress: Mapping[str, Any]) -> dict[str, str]:
    """Return the hosts of an IngressRoute, each with the shortest path that it serves."""
    paths: dict[str, str] = {}
    for rule in ingress["spec"]["routes"]:
        prefix = _PATH.search(rule["match"])
        path = prefix[1] if prefix else "/"
        for host in _HOST.findall(rule["match"]):
            paths[host] = min(paths.get(host, path), path, key=len)
    return paths
