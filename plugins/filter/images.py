"""Filters that name images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_lock import locked


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"locked_image": locked}
