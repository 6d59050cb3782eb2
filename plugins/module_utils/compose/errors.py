"""Reports the mistakes of a compose file, and the differences between it and its entries."""

from __future__ import annotations

from typing import NamedTuple


class ComposeError(Exception):
    """The file cannot be read as a compose file."""


class Remark(NamedTuple):
    """A difference between a service and its entry."""

    service: str
    """Empty for the whole file."""
    key: str
    """The key of the compose file that it is about."""
    text: str


class Remarks:
    """Collects remarks, each on one line and once."""

    def __init__(self) -> None:
        self._changed: dict[Remark, None] = {}
        self._impossible: dict[Remark, None] = {}

    @property
    def changed(self) -> list[Remark]:
        """The differences that an app can live with."""
        return list(self._changed)

    @property
    def impossible(self) -> list[Remark]:
        """The differences that keep an app from working."""
        return list(self._impossible)

    def change(self, service: str, key: str, text: str) -> None:
        """Note a difference that the app can live with."""
        self._changed[_remark(service, key, text)] = None

    def refuse(self, service: str, key: str, text: str) -> None:
        """Note a difference that keeps the app from working."""
        self._impossible[_remark(service, key, text)] = None


def _remark(*parts: str) -> Remark:
    # Remarks become comments of a file, which end with their line.
    return Remark(*("".join(filter(str.isprintable, " ".join(part.split()))) for part in parts))
