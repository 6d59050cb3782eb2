"""Translates the services of a compose file to entries of the option apps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from ..preflight.formats import fits
from . import images, keys, limits, pages, secrets
from .devices import devices
from .ending import without_ending
from .errors import Remark, Remarks
from .interpolation import is_marked, split_at_secrets
from .mounts import Data, Mounts
from .names import Hosts, slug, unique
from .privileges import SAFE_SYSCTLS, User, privileges
from .project import Project, Service
from .secrets import Text
from .syntax import Port, exposed, ports

__all__ = ["SAFE_SYSCTLS", "Data", "Entry", "Imported", "Remark", "User", "slug", "translate"]

Entry = dict[str, Any]
_TAKEN_BY_HOME = {80, 443, 16443}
_LOCAL = re.compile(r"127\..*|::1|localhost")
_PRIVATE = re.compile(
    r"(?<![\d.])(10(\.\d{1,3}){3}|192\.168(\.\d{1,3}){2}|172\.(1[6-9]|2\d|3[01])(\.\d{1,3}){2})(?![\d.]*[\d/])"
)


class Imported(NamedTuple):
    """The entries, and all that an owner should know about them."""

    entries: list[Entry]
    taken: list[str]
    """The keys that were translated."""
    changed: list[Remark]
    impossible: list[Remark]
    directories: list[str]
    """Directories of the host that belong into `apps_host_directories`."""
    data: list[Data]
    """What the volumes of the entries had in Docker."""
    passwords: list[tuple[str, str]]
    """The names of passwords that new ones replace, each with the one in the file."""


def _unknown(_: str) -> str | None:
    return None


def translate(project: Project, page: str = "", image_user: User = _unknown) -> Imported:
    """Return the entries of a project.

    Args:
        project: the compose file.
        page: the port of the page, as `port` or `service:port`; by default it is guessed.
        image_user: asks for the user of an image.
    """
    return _Translation(project, page, image_user).result()


class _Translation:
    def __init__(self, project: Project, page: str, image_user: User) -> None:
        self._project = project
        self._image_user = image_user
        self._remarks = Remarks()
        self._stack = slug(project.name)
        proxies = {key: each for key, each in project.services.items() if _is_proxy(key, each)}
        running = {key: each for key, each in project.services.items() if key not in proxies}
        self._services, self._first = without_ending(running, self._remarks)
        self._hosts = Hosts(project, self._services)
        self._ports = {key: self._read_ports(key, each) for key, each in self._services.items()}
        finder = pages.Finder(project, self._services, self._ports, self._hosts, self._remarks)
        self._pages = finder.find(page, proxies.values())
        self._names = self._named()
        self._mounts = Mounts(project, self._services, self._names, self._remarks)
        self._replaced = secrets.replaceable(self._texts())

    def result(self) -> Imported:
        for variable in self._project.unset:
            self._remarks.change("", f"${{{variable}}}", "it is not set, and empty here -> set it in .env")
        for key, profiles in self._project.inactive.items():
            listed = ", ".join(profiles)
            self._remarks.change(key, "profiles", f"it is left out -> name its profile to have it: {listed}")
        entries = [self._entry(key, service) for key, service in self._services.items()]
        taken = dict.fromkeys(name for service in self._services.values() for name in keys.taken(service))
        if not entries:
            self._remarks.refuse(
                "", "services", "no service goes on -> name a compose file with one that does"
            )
        found = self._remarks
        directories = list(dict.fromkeys(self._mounts.directories))
        passwords = [(split_at_secrets(marker)[1], value) for value, marker in self._replaced.items()]
        return Imported(
            entries, list(taken), found.changed, found.impossible, directories, self._mounts.data(), passwords
        )

    # ---- Names and ports.

    def _named(self) -> dict[str, str]:
        """Return the names of the apps. The one with the page has that of the project."""
        found: dict[str, str] = {}
        hosts: dict[str, str] = {}
        main = self._pages.main if len(self._services) > 1 else next(iter(self._services), "")
        for key in sorted(self._services, key=lambda each: each != main):
            name = self._stack if key == main else slug(f"{self._stack}-{key}")
            found[key] = unique(name, found.values())
            if other := hosts.get(slug(key)):
                text = (
                    f"{key} and {other} have the same name without special characters -> rename one of them"
                )
                self._remarks.refuse(key, "services", text)
            hosts[slug(key)] = key
        return found

    def _read_ports(self, key: str, service: Service) -> list[Port]:
        try:
            return [*ports(service.get("ports", [])), *exposed(service.get("expose", []))]
        except ValueError as error:
            self._remarks.refuse(key, "ports", str(error))
            return []

    def _texts(self) -> Iterator[Text]:
        """Return all texts that may have a password."""
        for key, service in self._services.items():
            yield from (Text(key, name, value) for name, value in service["environment"].items())
            commands = [[*service.get("entrypoint", []), *service.get("command", [])]]
            commands += [*self._first.get(key, []), service.get("healthcheck", {}).get("test", [])]
            for command in commands:
                yield from (Text(key, before, word) for before, word in pairwise(["", *command]))
            yield from (Text(key, "", content) for content in self._mounts.files(key).values())

    # ---- Entries.

    def _entry(self, key: str, service: Service) -> Entry:
        entry: Entry = {"name": self._names[key]}
        if len(self._services) > 1:
            entry |= {"stack": self._stack, "hostname": slug(key)}
        elif service.get("hostname"):
            entry["hostname"] = slug(service["hostname"].partition(".")[0])
        entry |= (
            images.image(self._project, key, service, self._remarks)
            | self._commands(key, service)
            | self._environment(key, service)
        )
        entry |= privileges(key, service, self._image_user, self._remarks, low_ports=self._has_low_ports(key))
        entry |= devices(key, service, self._remarks)
        entry |= self._network(key, service) | self._probe(key, service) | self._storage(key)
        entry |= limits.limits(key, service, self._remarks)
        keys.others(key, service, self._remarks)
        return entry

    def _commands(self, key: str, service: Service) -> Entry:
        entry: Entry = {}
        command, arguments = service.get("entrypoint"), service.get("command")
        if command == []:
            if not arguments:
                fix = "write the command of the image into command"
                self._remarks.refuse(key, "entrypoint", f"it is emptied, without another command -> {fix}")
            command, arguments = arguments, None
        if command:
            entry["command"] = self._words(key, self._executable(key, command))
        if arguments:
            entry["args"] = self._words(key, arguments if command else self._executable(key, arguments))
        if key in self._first:
            entry["init_commands"] = [
                self._words(key, self._executable(key, each)) for each in self._first[key]
            ]
        if directory := service.get("working_dir"):
            entry["working_dir"] = directory
            if not re.fullmatch(r"/\S*", directory):
                text = f"{directory!r} is not an absolute path without spaces -> write it with a /"
                self._remarks.refuse(key, "working_dir", text)
        return entry

    def _executable(self, key: str, command: list[str]) -> list[str]:
        """Return a command whose program is no mounted file: those cannot be executed, only read."""
        content = self._mounts.files(key).get(command[0], "")
        first = content.partition("\n")[0]
        return [*first[2:].split(), *command] if first.startswith("#!") else command

    def _words(self, key: str, command: list[str]) -> list[str]:
        if "" in command:
            text = (
                f"{' '.join(command[:3])} … has an empty argument -> remove it, or set its variable in .env"
            )
            self._remarks.refuse(key, "command", text)
        return [_escaped(self._text(word, before)) for before, word in pairwise(["", *command])]

    def _text(self, value: str, context: str = "") -> str:
        """Return a text with the names of the other apps, and with new secrets."""
        return self._hosts.renamed(secrets.hidden(Text("", context, value), self._replaced), context)

    def _environment(self, key: str, service: Service) -> Entry:
        env: dict[str, str] = {}
        hidden: dict[str, str] = {}
        for name, value in service["environment"].items():
            if not fits("environment-variable", name) or not name:
                self._remarks.change(key, "environment", f"{name!r} is no name of a variable, and left out")
                continue
            text = self._text(value, name)
            if secrets.is_secret(name, text):
                # Kubernetes replaces no variables in a Secret.
                hidden[name] = text
            else:
                env[name] = _escaped(text)
        if kept := [name for name, text in hidden.items() if not is_marked(text)]:
            text = f"{', '.join(kept)}: as in the compose file -> encrypt the new file with ansible-vault"
            self._remarks.change(key, "environment", text)
        return {name: each for name, each in (("env", env), ("secrets", hidden)) if each}

    # ---- Network.

    def _port_of(self, key: str) -> int:
        return self._pages.ports.get(key, 0)

    def _has_low_ports(self, key: str) -> bool:
        """Return whether a service listens on a port below 1024, or on one that nobody says."""
        known = [*(port.target for port in self._ports[key]), *filter(None, [self._port_of(key)])]
        return not known or min(known) < 1024

    def _network(self, key: str, service: Service) -> Entry:
        mode = service.get("network_mode", "")
        if mode.startswith(("container:", "service:")):
            fix = "run both programs without it, or outside of the cluster"
            self._remarks.refuse(
                key, "network_mode", f"an app cannot use the network of another one -> {fix}"
            )
        on_host = mode == "host"
        entry: Entry = {"host_network": True} if on_host else self._connections(key, service)
        entry["port"] = self._port_of(key)
        if not entry["port"]:
            entry["routes"] = []
        elif hosts := pages.routes(key, service, self._remarks):
            entry["routes"] = hosts
        if on_host and not entry["port"] and len(self._services) == 1:
            text = "it uses the server's network, and its page is unknown -> if it has one: -e page=<port>"
            self._remarks.change(key, "network_mode", text)
        opened = [] if on_host else list(self._opened(key, entry["port"]))
        return entry | ({"ports": opened} if opened else {})

    def _connections(self, key: str, service: Service) -> Entry:
        """Return the networks that a service may connect to."""
        joined = list(service.get("networks", {}))
        known: Mapping[str, dict[str, Any]] = self._project.rest.get("networks", {})
        shared = [name for name in joined or ["default"] if known.get(name, {}).get("external")]
        if shared and "default" not in shared:
            text = f"{', '.join(shared)} is a network of several projects -> name the apps it uses in needs"
            self._remarks.change(key, "networks", text)
        if service.get("network_mode") == "none":
            return {}
        closed = joined and all(known.get(name, {}).get("internal") for name in joined)
        texts = [
            *service["environment"].values(),
            *service.get("command", []),
            *service.get("entrypoint", []),
        ]
        on_lan = any(_PRIVATE.search(self._hosts.renamed(text)) for text in texts)
        return ({} if closed else {"internet": True}) | ({"lan": True} if on_lan and not closed else {})

    def _opened(self, key: str, page: int) -> Iterator[dict[str, Any]]:
        """Return the ports of the server that lead to a service besides its page."""
        seen: set[tuple[int, str]] = set()
        for port in self._ports[key]:
            is_page = port.target == page and port.protocol == "tcp"
            if not port.published or is_page or (port.published, port.protocol) in seen:
                continue
            seen.add((port.published, port.protocol))
            if _LOCAL.fullmatch(port.address):
                text = f"{port.published} was for programs of the server itself, and is not opened"
                self._remarks.change(key, "ports", text)
            elif self._is_free(key, port):
                found: dict[str, Any] = {"port": port.published}
                found |= {"protocol": port.protocol} if port.protocol != "tcp" else {}
                yield found | ({"target_port": port.target} if port.target != port.published else {})

    def _is_free(self, key: str, port: Port) -> bool:
        if port.protocol != "tcp" or port.published not in _TAKEN_BY_HOME:
            return True
        if self._pages.ports:
            text = f"{port.published} leads to Traefik, which has the page and its certificate"
            self._remarks.change(key, "ports", text)
        else:
            fix = f"publish another one, such as 8{port.published}:{port.target}"
            self._remarks.refuse(
                key, "ports", f"{port.published} is a port of the home server itself -> {fix}"
            )
        return False

    # ---- Probes and storage.

    def _probe(self, key: str, service: Service) -> Entry:
        entry = limits.probe(service, self._port_of(key))
        if "probe_command" in entry:
            entry["probe_command"] = self._words(key, entry["probe_command"])
        return entry

    def _storage(self, key: str) -> Entry:
        files = {path: self._text(content) for path, content in self._mounts.files(key).items()}
        found = {"volumes": self._mounts.volumes(key), "files": files}
        return {name: each for name, each in found.items() if each}


def _is_proxy(key: str, service: Service) -> bool:
    """Return whether a service only tells Umbrel where the page is."""
    return key == "app_proxy" and not service.get("image") and not service.get("build")


def _escaped(text: str) -> str:
    """Return a text in which Kubernetes replaces no variables."""
    return re.sub(r"\$(?=[$(])", "$$", text)
