"""Interpolates variables in a compose file.

The rules are those of https://docs.docker.com/reference/compose-file/interpolation/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_WORDS = r"PASSWORD|PASSWD|PASSPHRASE|(^|_)PASS|(^|_)PWD"
PASSWORD = re.compile(rf"({_WORDS})(_?\d+)?$", re.I)
"""Names of variables that hold a password, which any other password could replace."""
SECRET = re.compile(
    rf"({_WORDS}|SECRET|TOKEN|SEED|CREDENTIALS|PASSWORD_?HASH|REDISCLI_AUTH|SECRET_KEY_BASE"
    r"|(API|ACCESS|PRIVATE|ENCRYPTION|APP|SECRET|MASTER|AUTH|SIGNING|LICENSE)_?KEY)(_?\d+)?$",
    re.I,
)
"""Names of variables that hold a secret."""
_GENERATED = re.compile(rf"({_WORDS}|SECRET|SEED|SECRET_?KEY(_BASE)?|ENCRYPTION_?KEY)(_?\d+)?$", re.I)
# These are issued by someone else.
_ISSUED = re.compile(r"(CLIENT|OAUTH|OIDC|SMTP|MAIL|AWS|S3)\w*$", re.I)
_VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*))")
_OPERATOR = re.compile(r":?[-?+]")
_MARKS = str.maketrans("", "", "\x01\x02")
_MOST = 1_000_000  # values; aliases of YAML can repeat each other without end


class InterpolationError(Exception):
    """A variable is required and not set, or its expression is wrong."""


class Variables:
    """The variables of a compose file, and those that it uses although nothing sets them."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """Take the values that are set."""
        self.values = dict(values)
        self.unset: dict[str, None] = {}
        self._seen = 0

    def interpolate(self, value: Any) -> Any:
        """Return a value of the file with all variables replaced, in dictionaries and lists, too.

        A secret that is not set becomes a marker; see `secret_marker`.

        Raises:
            InterpolationError: see there.
        """
        self._seen += 1
        if self._seen > _MOST:
            raise InterpolationError("it repeats itself too often")
        if isinstance(value, str):
            if "\0" in value:
                raise InterpolationError(f"{value!r} has a character with the number 0, which ends a text")
            return "".join(self._parts(value.translate(_MARKS)))
        if isinstance(value, list):
            return [self.interpolate(each) for each in value]
        if isinstance(value, dict):
            return {key: self.interpolate(each) for key, each in value.items()}
        return value

    def get(self, name: str) -> str | None:
        """Return a value, the marker of a secret, or None for another variable that is not set."""
        if name in self.values:
            return self.values[name]
        if is_generated(name):
            return secret_marker(name)
        self.unset[name] = None
        return None

    def _parts(self, text: str) -> Iterator[str]:
        place = 0
        while found := _VARIABLE.search(text, place):
            yield text[place : found.start()]
            place = found.end()
            if found["escaped"]:
                yield "$"
            elif found["name"]:
                yield self.get(found["name"]) or ""
            else:
                end = _end(text, place)
                yield self._expression(found["braced"], text[place:end])
                place = end + 1
        yield text[place:]

    def _expression(self, name: str, rest: str) -> str:
        """Return the value of `${name}`, of which `rest` is all that follows the name."""
        if not rest:
            return self.get(name) or ""
        operator = _OPERATOR.match(rest)
        if not operator:
            raise InterpolationError(
                f"${{{name}{rest}}} is no expression (expected one such as ${{{name}:-default}})"
            )
        value = self.values.get(name)
        sign, word = operator[0], rest[operator.end() :]
        there = value is not None and (value != "" or ":" not in sign)
        if sign.endswith("+"):
            return str(self.interpolate(word)) if there else ""
        if there:
            return value or ""
        if sign.endswith("-"):
            return str(self.interpolate(word))
        if is_generated(name):
            return secret_marker(name)
        reason = self.interpolate(word) or "it is required"
        raise InterpolationError(f"the variable {name} is not set: {reason}")


def _end(text: str, place: int) -> int:
    """Return the index of the brace that closes the one before a place."""
    depth = 1
    for index in range(place, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if not depth:
            return index
    raise InterpolationError(f"{text!r} has a variable without a closing brace")


def is_generated(name: str) -> bool:
    """Return whether a variable that is not set becomes a new secret."""
    return bool(_GENERATED.search(name)) and not _ISSUED.search(name)


_MARKER = re.compile("\x01([a-z0-9_]+)\x02")


def secret_marker(name: str) -> str:
    """Return the marker of a secret that is generated."""
    return f"\x01{re.sub('[^a-z0-9_]', '_', name.lower())}\x02"


def is_marked(text: str) -> bool:
    """Return whether a text has the marker of a secret."""
    return "\x01" in text


def split_at_secrets(text: str) -> list[str]:
    """Return the parts of a text. Each second one is the name of a generated secret."""
    return _MARKER.split(text)
