"""Finds the passwords of a compose file that new ones can replace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .interpolation import PASSWORD, SECRET, is_marked, secret_marker

# The first start of these images sets the password, so that any can be chosen.
_FIRST = re.compile(
    r"^(POSTGRES(QL)?|MYSQL|MARIADB|MONGO|RABBITMQ|REDIS|VALKEY|MINIO|INFLUXDB|DOCKER_INFLUXDB)_.*(PASSWORD|PASS)$",
    re.I,
)
_FEWEST = 2  # services that have to agree on a password
_FLAG = re.compile(r"--requirepass|--(\w+-)*pass(word)?|--auth|-a|-p|-P")
_OTHER = re.compile(
    r"(USER(NAME)?|DB|DATABASE|NAME|HOST|SCHEMA|LOGIN|PREFIX|BUCKET)$|^(-U|-u|-d|-h|--user(name)?|--dbname)$",
    re.I,
)
_SWITCHES = {"true", "false", "yes", "no", "on", "off", "none", "null"}
_CREDENTIALS = re.compile(r"://[^/@\s:]*:[^/@\s]+@")


class Text(NamedTuple):
    """A text of a service, such as the value of a variable."""

    service: str
    name: str
    """The name of the variable, or the argument before; empty for other texts."""
    value: str


def is_secret(name: str, value: str) -> bool:
    """Return whether a variable holds a secret."""
    if is_marked(value) or _CREDENTIALS.search(value):
        return True
    return (
        bool(SECRET.search(name))
        and bool(value)
        and not value.startswith("/")
        and value.lower() not in _SWITCHES
    )


def replaceable(texts: Iterable[Text]) -> dict[str, str]:
    """Return the passwords that new ones can replace, with the marker of each.

    A password of which another program knows the old value stays: one that is in a single service, and one
    that is in a text whose meaning is unknown.
    """
    known = [each for each in texts if each.value]
    found: dict[str, str] = {}
    for value, name in _candidates(known).items():
        if _is_shared(value, known) and all(_is_understood(value, each) for each in known):
            found[value] = _new_marker(name, found.values())
    return found


def _new_marker(name: str, used: Iterable[str]) -> str:
    """Return a marker that no other password has."""
    marker, number = secret_marker(name), 2
    while marker in used:
        marker, number = secret_marker(f"{name}_{number}"), number + 1
    return marker


def hidden(text: Text, replaced: Mapping[str, str]) -> str:
    """Return a text with the markers of its passwords."""
    found = text.value
    for value, marker in replaced.items():
        if found == value:
            return marker if _is_named(text.name) else found
        for place in sorted(_passwords(value, found), reverse=True):
            found = found[:place] + marker + found[place + len(value) :]
    return found


def _candidates(texts: Iterable[Text]) -> dict[str, str]:
    found: dict[str, str] = {}
    for _, name, value in texts:
        usable = not is_marked(value) and not value.startswith("/") and value.lower() not in _SWITCHES
        if PASSWORD.search(name) and usable:
            found.setdefault(value, name)
    return dict(sorted(found.items(), key=lambda each: -len(each[0])))


def _is_shared(value: str, texts: Iterable[Text]) -> bool:
    users = {each.service for each in texts if value in each.value}
    first = any(_FIRST.search(each.name) for each in texts if each.value == value)
    return first or len(users) >= _FEWEST


def _is_understood(value: str, text: Text) -> bool:
    """Return whether a text has a password's value only where it clearly is one, or clearly is none."""
    if value not in text.value:
        return True
    if text.value == value:
        return _is_named(text.name) or bool(_OTHER.search(text.name))
    known = _passwords(value, text.value) | _others(value, text.value)
    return all(found.start() in known for found in re.finditer(re.escape(value), text.value))


def _is_named(name: str) -> bool:
    """Return whether a variable, or an argument before, says that a password follows."""
    return bool(SECRET.search(name) or _FLAG.fullmatch(name))


def _passwords(value: str, text: str) -> set[int]:
    """Return the places in a text where a password stands."""
    name = re.escape(value)
    patterns = (
        rf"://[^/@\s:]*:(?P<it>{name})@",
        rf"(?i:password|passwd|pass|pwd)[\"']?\s*[=:]\s*[\"']?(?P<it>{name})(?![\w.-])",
        rf"(?:^|[\s])(?:--requirepass|--password|--pass|--auth|-a|-p)[= ][\"']?(?P<it>{name})(?![\w.-])",
        rf"(?:^|\s)-p[\"']?(?P<it>{name})(?![\w.-])",
    )
    return _places(patterns, text)


def _others(value: str, text: str) -> set[int]:
    """Return the places in a text where the same word is no password."""
    name = re.escape(value)
    patterns = (
        rf"://(?P<it>{name})(?=[:@/])",
        rf"(?:://[^/@\s]*@|//)[^/\s]*/(?P<it>{name})(?![\w.-])",
        rf"(?i:user|username|dbname|database|host|name)[\"']?\s*[=:]\s*[\"']?(?P<it>{name})(?![\w.-])",
        rf"(?:^|\s)(?:-U|-u|-d|-h|--username|--user|--dbname|--host)[= ]?[\"']?(?P<it>{name})(?![\w.-])",
        # A part of another word.
        rf"[\w.-](?P<it>{name})|(?P<it2>{name})(?=[\w.-])",
    )
    return _places(patterns, text)


def _places(patterns: Iterable[str], text: str) -> set[int]:
    """Return the places in a text where a named group of a pattern begins."""
    found = [match for pattern in patterns for match in re.finditer(pattern, text)]
    return {match.start(name) for match in found for name in match.groupdict() if match[name] is not None}
