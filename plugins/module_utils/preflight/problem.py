"""A problem that is reported to the owner."""

from __future__ import annotations

from typing import NamedTuple


class Problem(NamedTuple):
    """A problem and its fix."""

    wrong: str
    fix: str

    def __str__(self) -> str:
        return f"{self.wrong} -> {self.fix}"
