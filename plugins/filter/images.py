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


def missing_images(
    images: Iterable[Mapping[str, Any]], hosts: Iterable[str], hostvars: Mapping[str, Any]
) -> list[str]:
    """Return the names of images that are not built, or that a host, as far as this run knows, may not have.

    Args:
        images: The images, as the lookup images returns them.
        hosts: Hosts of the inventory.
        hostvars: The variables of all hosts, in which the role microk8s registers their images.
    """
    needing = [*hosts]
    return [
        image["name"]
        for image in images
        if not image["built"] or hosts_without_images(needing, hostvars, [image["reference"]])
    ]


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "hosts_without_images": hosts_without_images,
            "locked_image": locked,
            "missing_images": missing_images,
        }
