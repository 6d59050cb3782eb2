"""The roles, as the static tests read them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Role:
    """A directory under roles/."""

    path: Path

    @property
    def name(self) -> str:
        """The role's name within the collection."""
        return self.path.name

    @property
    def defaults(self) -> dict[str, Any]:
        """The values in defaults/main.yml, not rendered."""
        return _read(self.path / "defaults/main.yml") or {}

    @property
    def options(self) -> dict[str, Any]:
        """The options of the role itself, whose entry point is the first, by name."""
        options: dict[str, Any] = next(iter(self.entry_points.values())).get("options", {})
        return options

    @property
    def entry_points(self) -> dict[str, Any]:
        """The argument specs by entry point."""
        specs: dict[str, Any] = _read(self.path / "meta/argument_specs.yml")["argument_specs"]
        return specs


def tasks_of(file: Path) -> Iterator[dict[str, Any]]:
    """Return the tasks of a file: a block, then what is in it."""
    yield from _with_inner(_read(file))


def _with_inner(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in tasks:
        yield task
        for block in ("block", "rescue", "always"):
            yield from _with_inner(task.get(block, []))


@cache
def _read(path: Path) -> Any:
    return yaml.load(path.read_text(), yaml.CSafeLoader)  # a tenth of the time


ROLES = [Role(path) for path in sorted((ROOT / "roles").iterdir()) if path.is_dir()]
