"""Finds the pages of a compose file: the ports that answer a browser."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ..preflight.formats import fits
from .errors import Remarks
from .names import Hosts
from .project import Project, Service
from .syntax import Port

Route = dict[str, str]
# Ports of protocols other than HTTP.
_NOT_PAGES = {21, 22, 23, 25, 53, 110, 123, 139, 143, 389, 445, 465, 554, 587, 636, 853, 993, 995, 1883, 3306,
              5432, 5672, 6379, 8883, 9050, 11211, 25565, 27017, 51820}  # fmt: skip
_HTTPS = {443, 8443, 9443}
_ROUTER = re.compile(r"traefik\.http\.routers\.[^.]+\.rule")
_RULE = re.compile(r"(?:Host\((?:\s*`[^`]*`\s*,?)+\)|PathPrefix\(`[^`]*`\)|\|\||&&|[\s()])*")


class Pages(NamedTuple):
    """The pages of a project."""

    main: str
    """The service with the page that has the project's name; empty if there is none."""
    ports: dict[str, int]
    """The port of each page, by service."""


class Finder:
    """Looks for pages in what the file says, and then among the ports."""

    def __init__(
        self,
        project: Project,
        services: Mapping[str, Service],
        ports: Mapping[str, list[Port]],
        hosts: Hosts,
        remarks: Remarks,
    ) -> None:
        self._project = project
        self._services = services
        self._ports = ports
        self._hosts = hosts
        self._remarks = remarks

    def find(self, wanted: str, proxies: Iterable[Service]) -> Pages:
        """Return the pages.

        Args:
            wanted: the port of the page, as `port` or `service:port`; empty if nobody says.
            proxies: services of Umbrel that only say where the page is.
        """
        labelled = dict(self._labelled())
        if not wanted and self._speaks_https():
            return Pages("", {})
        main = (
            self._wanted(wanted)
            or self._named(proxies)
            or next(iter(labelled.items()), None)
            or self._guessed()
        )
        if not main:
            return Pages("", {})
        return Pages(
            main[0], {main[0]: main[1]} | {key: port for key, port in labelled.items() if key != main[0]}
        )

    def _speaks_https(self) -> bool:
        """Return whether the page has its own certificate, and remark on it."""
        if self._project.rest.get("x-casaos", {}).get("scheme") != "https":
            return False
        for key, port in self._of_casaos():
            text = f"its page at port {port} speaks HTTPS itself -> open it at the address of the server"
            self._remarks.change(key, "ports", f"{text}, or name another port with -e page={key}:<port>")
            return True
        return False

    def _wanted(self, wanted: str) -> tuple[str, int] | None:
        if not wanted:
            return None
        service, _, port = wanted.rpartition(":")
        having = [key for key, found in self._ports.items() if port in {str(each.target) for each in found}]
        service = service or next(iter([*having, *self._services]))
        if service in self._services and re.fullmatch(r"[1-9]\d{0,4}", port) and int(port) < 2**16:
            return service, int(port)
        fix = f"name one, such as -e page={next(iter(self._services))}:8080"
        self._remarks.refuse("", "page", f"{wanted!r} is not the port of a service -> {fix}")
        return None

    def _labelled(self) -> Iterator[tuple[str, int]]:
        """Return the pages that labels of Traefik or variables of nginx-proxy name."""
        for key, service in self._services.items():
            labels, environment = service.get("labels", {}), service["environment"]
            given = [value for label, value in labels.items() if label.endswith(".loadbalancer.server.port")]
            given += [environment["VIRTUAL_PORT"]] if "VIRTUAL_PORT" in environment else []
            number = next((str(each) for each in given if re.fullmatch(r"[1-9]\d{0,4}", str(each))), "")
            if number and int(number) < 2**16:
                yield key, int(number)
            elif "VIRTUAL_HOST" in environment or any(map(_ROUTER.fullmatch, labels)):
                yield key, next((port.target for port in self._ports[key] if port.protocol == "tcp"), 80)

    def _named(self, proxies: Iterable[Service]) -> tuple[str, int] | None:
        """Return the page that Umbrel or CasaOS names."""
        for proxy in proxies:
            host, port = proxy["environment"].get("APP_HOST", ""), proxy["environment"].get("APP_PORT", "")
            suffix = next(
                (key for key in self._services if re.fullmatch(rf".*_{re.escape(key)}_1", host)), ""
            )
            key = self._hosts.find(host) or suffix or self._by_network(host)
            if key:
                return key, int(port) if re.fullmatch(r"[1-9]\d{0,4}", port) else 80
        return next(self._of_casaos(), None)

    def _of_casaos(self) -> Iterator[tuple[str, int]]:
        """Return the port that CasaOS opens in a browser."""
        casaos = self._project.rest.get("x-casaos", {})
        number = casaos.get("port_map", "")
        if not re.fullmatch(r"[1-9]\d{0,4}", number):
            return
        for key in [casaos["main"]] if casaos.get("main") in self._services else self._services:
            if self._services[key].get("network_mode") == "host" and int(number) < 2**16:
                yield key, int(number)
            for port in self._ports[key]:
                if port.published == int(number) and port.protocol == "tcp":
                    yield key, port.target

    def _by_network(self, host: str) -> str:
        """Return the only service on the host's own network, which Umbrel reaches at the name of the host."""
        found = [key for key, each in self._services.items() if each.get("network_mode") == "host"]
        return found[0] if host and len(found) == 1 else ""

    def _guessed(self) -> tuple[str, int] | None:
        """Return the first port that may be a page."""
        found = [
            (key, port.target)
            for key, ports in self._ports.items()
            for port in ports
            if port.protocol == "tcp" and port.target not in _NOT_PAGES | _HTTPS and not port.is_exposed
        ]
        candidates = list(dict.fromkeys(found))
        if not candidates:
            return self._exposed()
        (key, port), *others = candidates
        if others:
            listed = ", ".join(f"-e page={service}:{number}" for service, number in others)
            self._remarks.change(
                key, "ports", f"its port {port} is taken as the page -> if that is wrong: {listed}"
            )
        return key, port

    def _exposed(self) -> tuple[str, int] | None:
        """Return the port of the only service that may be a page behind another proxy."""
        found = [
            (key, port.target)
            for key, ports in self._ports.items()
            for port in ports
            if port.is_exposed and port.protocol == "tcp" and port.target not in _NOT_PAGES | _HTTPS
        ]
        published = any(not port.is_exposed for ports in self._ports.values() for port in ports)
        return found[0] if len({key for key, _ in found}) == 1 and not published else None


def routes(key: str, service: Service, remarks: Remarks) -> list[Route]:
    """Return the host names and paths in labels of Traefik."""
    found: dict[tuple[str, str], None] = {}
    for label, rule in service.get("labels", {}).items():
        if not _ROUTER.fullmatch(label) or not rule:
            continue
        listed = [
            host for part in re.findall(r"Host\(([^)]*)\)", rule) for host in re.findall(r"`([^`]+)`", part)
        ]
        paths = re.findall(r"PathPrefix\(`(/[^`\s]*)`\)", rule) or ["/"]
        if not _RULE.fullmatch(rule) or not all(fits("host-name", host) for host in listed):
            text = f"the rule {rule!r} is not taken over -> set host or routes in its entry"
            remarks.change(key, "labels", text)
            continue
        found |= dict.fromkeys((host, path) for host in listed for path in paths)
    return [{"host": host} | ({"path": path} if path != "/" else {}) for host, path in found]
