"""Which devices are known to trust the next authority, while the authority is being replaced."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

_MOST = 200
"""More devices than a home has. The one that was not seen for the longest time is forgotten first."""


@dataclass(frozen=True)
class Entry:
    """What is known of a device.

    Attributes:
        name: Its kind.
        address: Its address.
        trusts: Whether it trusts the next authority.
        seen: When it last asked.
    """

    name: str
    address: str
    trusts: bool
    seen: datetime


def _now() -> datetime:
    return datetime.now(UTC)


class Roll:
    """The devices that asked since this program runs; it only keeps them in memory."""

    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        """Begin without devices."""
        self._now = now
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], Entry] = {}
        self.since = now()

    def note(self, name: str, address: str, *, trusts: bool) -> None:
        """Note that a device has asked, and whether this shows that it trusts the next authority."""
        with self._lock:
            former = self._known.pop((name, address), None)
            trusted = trusts or bool(former and former.trusts)
            self._known[name, address] = Entry(name, address, trusted, self._now())
            if len(self._known) > _MOST:
                del self._known[next(iter(self._known))]

    def entries(self) -> list[Entry]:
        """Return the devices, those without trust first."""
        with self._lock:
            return sorted(self._known.values(), key=lambda entry: (entry.trusts, entry.name, entry.address))
