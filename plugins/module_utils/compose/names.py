"""Names apps, and replaces the names of containers in texts with those that the other apps know."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from .project import Project, Service

_LONGEST = 50  # characters
# Variables and arguments whose whole value is the name of a host.
_HOST = re.compile(
    r"HOST(NAME|S)?$|SERVERS?$|ADDR(ESS|ESSES)?$|UR[LI]S?$|ENDPOINTS?$|UPSTREAMS?$|BROKERS?$|NODES?$|BACKENDS?$"
    r"|DOMAINS?$|REDIS$|HOST_|^-h$|PROXY$",
    re.I,
)


def slug(text: str) -> str:
    """Return a name that Kubernetes accepts for a Service."""
    last = PurePosixPath(text).name or text
    name = re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:_LONGEST].rstrip("-")
    return name if name[:1].isalpha() else f"app-{name}".rstrip("-")


def unique(name: str, used: Iterable[str]) -> str:
    """Return a name that is not used yet."""
    number, found = 2, name
    while found in used:
        found, number = f"{name}-{number}", number + 1
    return found


class Hosts:
    """The names and addresses under which containers know each other."""

    def __init__(self, project: Project, services: Mapping[str, Service]) -> None:
        """Find them in all services."""
        alone = len(services) == 1
        self._new: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        self._certain: set[str] = set()
        self._keys |= {key: key for key in services}
        for key, service in services.items():
            new = "localhost" if alone else slug(key)
            for name, is_certain in _names(project.name, key, service):
                if name not in services or name == key:
                    self._new.setdefault(name, new)
                    self._keys.setdefault(name, key)
                    self._certain |= {name} if is_certain else set()
        for service in services.values():
            for link in service.get("links", []):
                target, _, alias = link.partition(":")
                if alias and alias not in services and target in services:
                    self._new.setdefault(alias, slug(target))
        kept = {name for name, new in self._new.items() if name != new and name.lower() != new}
        self._new = {name: self._new[name] for name in sorted(kept, key=len, reverse=True)}

    def renamed(self, text: str, context: str = "") -> str:
        """Return a text with the names that apps have here.

        Args:
            text: the value of a variable, an argument, or the content of a file.
            context: the name of the variable, or the argument before.
        """
        for old, new in self._new.items():
            if old not in text:
                continue
            name = re.escape(old)
            if text == old and (_HOST.search(context) or old in self._certain):
                return new
            if old in self._certain:
                text = re.sub(rf"(?<![\w.-]){name}(?![\w-]|\.\w)", new, text)
            else:
                text = re.sub(_hosted(name), new, text)
        return text

    def find(self, host: str) -> str:
        """Return the service that has a name or address; empty if there is none."""
        return self._keys.get(host, "")


def _hosted(name: str) -> str:
    """Return a pattern of a name where a URL, an address with a port, or `host=` has a host."""
    return rf"(?:(?<=//)|(?<=@)|(?<=host=)|(?<=server=)|(?<![\w.@/:-])(?=[\w.-]+:\d)){name}(?![\w-]|\.\w)"


def _names(project: str, key: str, service: Service) -> Iterator[tuple[str, bool]]:
    """Return the names of a container, and whether each can be nothing else."""
    if slug(key) != key.lower():
        yield key, "_" in key
    for separator in "_-":
        yield f"{project}{separator}{key}{separator}1", True
    for name in (service.get("container_name"), service.get("hostname")):
        if name:
            yield name, False
    for network in service.get("networks", {}).values():
        found: dict[str, Any] = network or {}
        if address := found.get("ipv4_address"):
            yield address, True
        for alias in found.get("aliases", []):
            yield alias, False
