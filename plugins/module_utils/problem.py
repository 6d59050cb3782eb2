"""A problem of an owner, as it is told."""

from __future__ import annotations

from typing import NamedTuple


class Problem(NamedTuple):
    """What is wrong, in whose words that may be, and what mends it."""

    wrong: str
    fix: str

    def __str__(self) -> str:
        return f"{self.wrong} -> {self.fix}"
