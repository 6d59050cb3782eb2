"""Filters that read an owner's saved objects for Kibana."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.homeserver.stack.plugins.module_utils import kibana_objects


def kibana_flaws(paths: Iterable[str], taken: Iterable[Iterable[str]]) -> list[str]:
    """Say what is wrong with files of saved objects, given type and id of those that there are."""
    return [f"elk_kibana_files: {flaw.wrong} -> {flaw.fix}" for flaw in kibana_objects.flaws(paths, taken)]


def kibana_ids(text: str) -> list[list[str]]:
    """Give type and id of each object of a file, which has no flaws."""
    return [list(place) for place in kibana_objects.ids(text)]


def kibana_texts(paths: Iterable[str]) -> list[str]:
    """Give the text of each file, none of which has flaws."""
    return kibana_objects.load(paths)


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give them to Ansible."""
        return {"kibana_flaws": kibana_flaws, "kibana_ids": kibana_ids, "kibana_texts": kibana_texts}
