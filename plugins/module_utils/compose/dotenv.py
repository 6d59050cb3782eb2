"""Reads files such as `.env`.

The rules are those of https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .interpolation import Variables

_NAME = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*(?:([=:])[ \t]*|(?=\n|$))")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.S)
_SINGLE = re.compile(r"'((?:[^'\\]|\\.)*)'", re.S)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$"}


def parsed(
    text: str, known: Mapping[str, str], *, raw: bool = False
) -> tuple[dict[str, str | None], list[str]]:
    """Return the variables of a file, None for one without a value, and those that it uses but nothing sets.

    Args:
        text: its content.
        known: variables that its values may use, besides those before them.
        raw: whether the values are taken as they are.

    Raises:
        InterpolationError: a value uses a variable that is required and not set.
    """
    found: dict[str, str | None] = {}
    unset: dict[str, None] = {}
    for name, value, is_literal in _lines(text.replace("\r\n", "\n"), raw=raw):
        if value is None or is_literal:
            found[name] = value
            continue
        variables = Variables({key: each for key, each in found.items() if each is not None} | dict(known))
        found[name] = variables.interpolate(value)
        unset |= variables.unset
    return found, list(unset)


def _lines(text: str, *, raw: bool) -> Iterator[tuple[str, str | None, bool]]:
    """Return name, value, and whether the value is literal."""
    place = 0
    while place < len(text):
        match = _NAME.match(text, place)
        if not match:
            place = _line_end(text, place)
            continue
        place = match.end()
        if not match[2]:
            yield match[1], None, True
        elif raw:
            yield match[1], text[place : _line_end(text, place)].strip(), True
        elif double := _DOUBLE.match(text, place):
            yield match[1], re.sub(r"\\(.)", _unescaped, double[1], flags=re.S), False
            place = double.end()
        elif single := _SINGLE.match(text, place):
            yield match[1], single[1].replace("\\'", "'"), True
            place = single.end()
        else:
            yield match[1], _without_comment(text[place : _line_end(text, place)]), False
        place = _line_end(text, place)


def _line_end(text: str, place: int) -> int:
    """Return the index after the line that a place is in."""
    end = text.find("\n", place)
    return len(text) if end < 0 else end + 1


def _without_comment(value: str) -> str:
    return "" if value.startswith("#") else re.sub(r"\s+#.*", "", value.strip("\n")).strip()


def _unescaped(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[0])
