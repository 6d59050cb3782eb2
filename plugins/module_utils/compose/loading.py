"""Reads YAML as Compose does, and only files that belong to the project."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from .errors import ComposeError

_LARGEST = 4 * 2**20  # bytes of a file that is read
_SIMPLE = "docker compose config prints the file without it"


class _Loader(yaml.SafeLoader):
    """Reads scalars as Compose does: `yes`, `22:22` and dates are texts, and no key is twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a dictionary, of which each key must be a text, a number or true or false."""
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, _ in node.value:
                if key.value == "<<" and key.tag.endswith(":merge"):
                    continue
                if not isinstance(key, yaml.ScalarNode):
                    raise yaml.constructor.ConstructorError(None, None, "a key is not a text", key.start_mark)
                if key.value in seen:
                    problem = f"the key {key.value!r} is there twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


# The types of YAML 1.2, as Compose's own parser has them.
_TYPES = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", ["<"]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|0|[1-9][0-9_]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
)
_Loader.yaml_implicit_resolvers = {}
for _name, _expression, _first in _TYPES:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_expression})$"), _first)


def is_file(path: Path) -> bool:
    """Return whether a path is a file; False also for one that cannot be."""
    return os.path.isfile(path)  # noqa: PTH113 (raises nothing)


def exists(path: Path) -> bool:
    """Return whether a path exists; False also for one that cannot."""
    return os.path.exists(path)  # noqa: PTH110 (raises nothing)


class Files:
    """The files that a project may read: all in the directory of its compose file, and below."""

    def __init__(self, directory: Path) -> None:
        """Allow a directory."""
        self._root = Path(os.path.realpath(directory))

    def allows(self, path: Path) -> bool:
        """Return whether a path is in the directory, also after all its links."""
        return Path(os.path.realpath(path)).is_relative_to(self._root)

    def text(self, path: Path, meaning: str) -> str:
        """Return the content of a file that the compose file names.

        Raises:
            ComposeError: it cannot be read, or may not.
        """
        if not self.allows(path):
            fix = f"copy it into {self._root}, and name the copy"
            raise ComposeError(f"{meaning} is outside the directory of the compose file: {path} -> {fix}")
        return read(path, meaning)


def read(path: Path, meaning: str) -> str:
    """Return the content of a text file.

    Raises:
        ComposeError: it cannot be read.
    """
    try:
        if not is_file(path):
            raise ComposeError(f"{meaning} is not a file: {path} -> put it there, or remove it from the file")
        if path.stat().st_size > _LARGEST:
            raise ComposeError(
                f"{meaning} is larger than {_LARGEST // 2**20} MiB: {path} -> name another file"
            )
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ComposeError(
            f"{meaning} cannot be read: {path}: {error} -> make it a readable text file"
        ) from None


def content(text: str, path: Path) -> dict[str, Any]:
    """Return a file of YAML as a dictionary.

    Raises:
        ComposeError: it is not YAML, or not a dictionary.
    """
    try:
        found = yaml.load(text, _Loader)  # noqa: S506 (a subclass of SafeLoader)
    except yaml.YAMLError as error:
        fix = _SIMPLE if "!reset" in str(error) or "!override" in str(error) else "mend the line"
        raise ComposeError(f"{path} is not YAML: {' '.join(str(error).split())} -> {fix}") from None
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ComposeError(f"{path} is not YAML: {error} -> mend the line") from None
    if not isinstance(found, dict):
        raise ComposeError(f"{path} has no services: it is not a compose file -> name a compose file")
    return {str(key): each for key, each in found.items()}
