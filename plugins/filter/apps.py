"""Filters that read an owner's apps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.homeserver.stack.plugins.module_utils import app_devices, apps


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "app_clones": apps.clones,
            "app_entry_points": apps.entry_points,
            "app_devices": app_devices.wanted,
            "app_namespaces": apps.namespaces,
            "app_sources": apps.sources,
            "complete_apps": apps.complete,
            "directory_nodes": apps.directory_nodes,
            "stranded_volumes": apps.stranded_volumes,
            "update_settings": apps.update_settings,
            "updated_apps": apps.updated,
            "updates_told": apps.updates_told,
            "unsaved_volumes": apps.unsaved_volumes,
        }
