"""Filters about images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_lock import locked


def hosts_without_images(
    hosts: Iterable[str], hostvars: Mapping[str, Any], references: Iterable[str]
) -> list[str]:
    """Return the hosts that, as far as this run knows, may not have all images.

    Args:
        hosts: Hosts of the inventory.
        hostvars: The variables of all hosts, in which the role microk8s registers their images.
        references: The references of the images.
    """
    wanted = set(references)
    there = {host: hostvars[host].get("microk8s_images_there") or {} for host in hosts}
    return [host for host, known in there.items() if wanted - set(known.get("references", []))]


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"hosts_without_images": hosts_without_images, "locked_image": locked}
