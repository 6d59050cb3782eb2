"""Filters that read an owner's dashboards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.homeserver.stack.plugins.module_utils import grafana_dashboards


def dashboard_flaws(paths: Iterable[str], taken: Iterable[str], missing: Iterable[str]) -> list[str]:
    """Say what is wrong with dashboards, given the uids others have and the data sources there are not."""
    found = grafana_dashboards.flaws(paths, taken, missing)
    return [f"grafana_dashboards_extra: {flaw.wrong} -> {flaw.fix}" for flaw in found]


def dashboard_files(paths: Iterable[str]) -> list[dict[str, str]]:
    """Give the uid and the text of each dashboard, none of which has flaws."""
    return [dashboard._asdict() for dashboard in grafana_dashboards.load(paths)]


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give them to Ansible."""
        return {"dashboard_flaws": dashboard_flaws, "dashboard_files": dashboard_files}
