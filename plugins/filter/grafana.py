"""The filter that reads an owner's dashboards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.homeserver.stack.plugins.module_utils.preflight import grafana_dashboards


def dashboard_files(paths: Iterable[str]) -> list[dict[str, str]]:
    """Return the uid and the text of each dashboard; none may have flaws."""
    return [dashboard._asdict() for dashboard in grafana_dashboards.load(paths)]


class FilterModule:
    """The filter by its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"dashboard_files": dashboard_files}
