"""The filter that reads an owner's saved objects for Kibana."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.homeserver.stack.plugins.module_utils.preflight import kibana_objects


def kibana_texts(paths: Iterable[str]) -> list[str]:
    """Return the text of each file; none may have flaws."""
    return kibana_objects.load(paths)


class FilterModule:
    """The filter by its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"kibana_texts": kibana_texts}
