"""Filters about Traefik's routes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

_LAN_ONLY = "lan-only"


def newly_closed(
    routes: Iterable[Mapping[str, Any]], there: Iterable[Mapping[str, Any]], default: Sequence[str]
) -> list[str]:
    """Return the routes that an earlier run left open to the internet, and this run closes.

    Args:
        routes: The routes of the owner, C(traefik_routes).
        there: The IngressRoutes in the cluster.
        default: The middlewares of a route that names none.
    """
    opened = {
        route["metadata"]["name"]
        for route in there
        if route["metadata"]["namespace"] == "traefik" and _LAN_ONLY not in _middlewares(route)
    }
    closes = (route for route in routes if _LAN_ONLY in route.get("middlewares", default))
    return [route["name"] for route in closes if f"route-{route['name']}" in opened]


def _middlewares(route: Mapping[str, Any]) -> list[str]:
    return [each["name"] for rule in route["spec"]["routes"] for each in rule.get("middlewares", [])]


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"newly_closed": newly_closed}
