"""Filters of the role prometheus."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.homeserver.stack.plugins.module_utils import routes
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import formats

_PATH = re.compile(r"/[\w.~%/+-]*", re.ASCII)


def probed_paths(ingresses: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return the path to probe of each host that Traefik serves: the shortest one.

    An app's owner writes the text of a route. The filter skips invalid host names and paths.
    """
    paths: dict[str, str] = {}
    for ingress in ingresses:
        for host, path in routes.served_paths(ingress).items():
            if formats.is_dns_name(host) and _PATH.fullmatch(path):
                paths[host] = min(paths.get(host, path), path, key=len)
    return paths


class FilterModule:
    """The filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"probed_paths": probed_paths}
