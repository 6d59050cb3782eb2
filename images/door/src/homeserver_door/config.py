"""The people, clients and pages of the home, as the file with the configuration says them."""

import ipaddress
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from homeserver_door import audit

ADMINS = "admins"
"""The group that may invite people and sees alerts."""

EVERYONE, PUBLIC = "everyone", "public"
"""Who may open a page: any person who is logged in; anyone."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_T = TypeVar("_T")
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ConfigError(Exception):
    """The configuration is missing or wrong; the message says where, and what was expected."""


@dataclass(frozen=True)
class Person:
    """A person of the home.

    Attributes:
        name: How this person is known to all programs.
        email: The address; may be empty.
        groups: The groups this person is in.
    """

    name: str
    email: str
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Client:
    """A program that asks who somebody is.

    Attributes:
        id: How it names itself.
        name: Its name for people.
        redirect_uris: Where it may receive answers; exact.
        trusted: Whether nobody is asked for consent.
        public: Whether it has no secret, such as a command line.
    """

    id: str
    name: str
    redirect_uris: tuple[str, ...]
    trusted: bool
    public: bool


@dataclass(frozen=True)
class Page:
    """A page of the home.

    Attributes:
        title: Its name.
        url: Its address.
        access: The groups that may open it; `everyone` and `public` are lists of one.
        group: The heading under which it is shown.
        probe: The host in the labels of Prometheus' probes; empty without a probe.
    """

    title: str
    url: str
    access: tuple[str, ...]
    group: str
    probe: str


@dataclass(frozen=True)
class Home:
    """All of the configuration.

    Attributes:
        domain: The domain of the home.
        login_host: The host of the login.
        home_host: The host of the start page.
        passwords: Whether a password with an authenticator app also opens the door.
        session_hours: After how many hours a person has to log in again.
        people: The people, by name.
        clients: The clients, by id.
        pages: The pages, in the order of the file.
        prometheus: The URL of Prometheus; empty without one.
        welcome: The URL of the page on which a device learns to trust the home; empty without one.
        proxies: The networks from which Traefik's requests come.
    """

    domain: str
    login_host: str
    home_host: str
    passwords: bool
    session_hours: int
    people: dict[str, Person]
    clients: dict[str, Client]
    pages: tuple[Page, ...]
    prometheus: str
    welcome: str
    proxies: tuple[_Network, ...] = field(default=())

    @property
    def issuer(self) -> str:
        """The URL of the login, which is also its name for clients."""
        return f"https://{self.login_host}"

    @property
    def start(self) -> str:
        """The URL of the start page."""
        return f"https://{self.home_host}/"

    def trusts(self, address: str) -> bool:
        """Return whether a request from this address may name its client and person."""
        try:
            peer = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(peer in network for network in self.proxies)


def read(file: Path) -> Home:
    """Read the configuration.

    Raises:
        ConfigError: It is missing or wrong.
    """
    try:
        found = json.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror}) -> mount the ConfigMap there") from error
    except ValueError as error:
        raise ConfigError(f"{file} is no JSON ({error}) -> write one JSON object") from error
    return _home(_Reader(str(file), found))


class _Reader:
    """Reads the keys of one object."""

    def __init__(self, place: str, content: Any) -> None:
        if not isinstance(content, dict):
            raise ConfigError(f"{place} is {content!r} (expected an object)")
        self._place, self._content = place, content

    def value(self, key: str, kind: type, default: Any = None) -> Any:
        found = self._content.get(key)
        found = default if found is None else found
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise self.wrong(key, found, f"a value of type {kind.__name__}")
        return found

    def text(self, key: str, pattern: re.Pattern[str] = re.compile(r"\S.*")) -> str:
        found = str(self.value(key, str))
        if not pattern.fullmatch(found):
            raise self.wrong(key, found, f"text like {pattern.pattern}")
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        found = self.value(key, list, [])
        if not all(isinstance(each, str) and each for each in found):
            raise self.wrong(key, found, "a list of texts")
        return tuple(found)

    def url(self, key: str) -> str:
        found = str(self.value(key, str, ""))
        if found and not re.fullmatch(r"https?://[^\s\"'<>]+", found):
            raise self.wrong(key, found, "an http or https URL")
        return found

    def objects(self, key: str) -> "list[_Reader]":
        found = self.value(key, list, [])
        return [_Reader(f"{self._place}: {key}[{number}]", each) for number, each in enumerate(found)]

    def named(self, key: str, name: str, kind: "Callable[[_Reader], _T]") -> dict[str, _T]:
        found: dict[str, _T] = {}
        for each in self.objects(key):
            made = kind(each)
            if getattr(made, name) in found:
                raise each.wrong(name, getattr(made, name), "another than before")
            found[getattr(made, name)] = made
        return found

    def wrong(self, key: str, found: object, expected: str) -> ConfigError:
        return ConfigError(f"{self._place}: {key} is {found!r} (expected {expected})")


def _home(reader: _Reader) -> Home:
    people = reader.named("people", "name", _person)
    clients = reader.named("clients", "id", _client)
    hours = reader.value("session_hours", int, 168)
    if hours < 1:
        raise reader.wrong("session_hours", hours, "at least 1")
    return Home(
        domain=reader.text("domain"),
        login_host=reader.text("login_host").lower(),
        home_host=reader.text("home_host").lower(),
        passwords=reader.value("passwords", bool, False),
        session_hours=hours,
        people=people,
        clients=clients,
        pages=tuple(_page(each) for each in reader.objects("pages")),
        prometheus=reader.url("prometheus").rstrip("/"),
        welcome=reader.url("welcome"),
        proxies=tuple(_network(reader, each) for each in reader.texts("proxies")),
    )


def _person(reader: _Reader) -> Person:
    return Person(reader.text("name", _NAME), reader.value("email", str, ""), reader.texts("groups"))


def _client(reader: _Reader) -> Client:
    uris = reader.texts("redirect_uris")
    for uri in uris:
        if not urlsplit(uri).scheme or "*" in uri or "#" in uri or any(each.isspace() for each in uri):
            raise reader.wrong("redirect_uris", uri, "exact URLs without a fragment")
    return Client(
        reader.text("id", _CLIENT),
        reader.text("name"),
        uris,
        reader.value("trusted", bool, False),
        reader.value("public", bool, False),
    )


def _page(reader: _Reader) -> Page:
    url = reader.url("url")
    if not url:
        raise reader.wrong("url", url, "an http or https URL")
    access = reader.texts("access")
    return Page(
        reader.text("title"), url, access, reader.value("group", str, ""), reader.value("probe", str, "")
    )


def _network(reader: _Reader, text: str) -> _Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise reader.wrong("proxies", text, "networks such as 10.1.0.0/16") from error


class Watched:
    """The configuration of a file that may change at any time."""

    def __init__(self, file: Path) -> None:
        """Read the file.

        Raises:
            ConfigError: It is missing or wrong.
        """
        self.problem = ""
        """What is wrong with the file since it last changed; the former content holds meanwhile."""
        self._file = file
        self._lock = threading.RLock()  # what is called after a change asks as well
        self._seen = self._stamp()
        self._home = read(file)
        self._after: Callable[[Home], None] | None = None
        self._pending = True

    def then(self, after: Callable[[Home], None]) -> None:
        """Call a function with the configuration at its next use, and after each change."""
        with self._lock:
            self._after, self._pending = after, True

    def current(self) -> Home:
        """Return the configuration as the file says it now."""
        with self._lock:
            stamp = self._stamp()
            if stamp != self._seen:
                self._reread(stamp)
            if self._pending and self._after:
                self._apply(self._after)
            return self._home

    def _apply(self, after: Callable[[Home], None]) -> None:
        self._pending = False
        try:
            after(self._home)
            self.problem = ""
        except ConfigError as error:
            self._refuse(error)
            self._pending = True

    def _refuse(self, error: ConfigError) -> None:
        if self.problem != str(error):
            audit.record("configuration refused", reason=str(error))
        self.problem = str(error)

    def _reread(self, stamp: tuple[int, ...]) -> None:
        self._seen = stamp
        try:
            self._home = read(self._file)
        except ConfigError as error:
            self._refuse(error)
        else:
            self.problem, self._pending = "", True

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = self._file.stat()
        except OSError:
            return ()
        return found.st_ino, found.st_mtime_ns, found.st_size
