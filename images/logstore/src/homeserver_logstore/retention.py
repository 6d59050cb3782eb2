"""Keeps the indices within their limits, and lines arriving.

Indices past the maximum age are deleted, and the oldest while over budget. An index that a disk has
damaged takes no lines, so it is rolled over.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from homeserver_logstore.audit import record
from homeserver_logstore.client import Elasticsearch, RefusedError
from homeserver_logstore.indices import ALIASES, PATTERNS
from homeserver_logstore.settings import Settings

DAY = 24 * 3600.0
_RECOVERY = "45s"
"""The time in which Elasticsearch opens the indices after its start. Meanwhile they are red, too."""

_SERIES = re.compile(r"(.+?)-(?:\d{6}|\d{4}[-.]\d{2}[-.]\d{2})")
"""The name of an index before its number or date."""


@dataclass(frozen=True)
class Index:
    """One index.

    Attributes:
        name: Its name.
        series: The common name of the indices it belongs to.
        size: Its size in bytes on all nodes.
        created: When it was created, in seconds since the epoch.
        newest: The latest possible time of its newest line: when the next index was created.
        is_current: Whether lines are still written to it.
        is_red: Whether a part of it is missing.
    """

    name: str
    series: str
    size: int
    created: float
    newest: float
    is_current: bool
    is_red: bool = False


def indices(elasticsearch: Elasticsearch) -> list[Index]:
    """Return all indices that count towards the budget."""
    columns = "index,health,store.size,creation.date"
    rows = elasticsearch.get(f"_cat/indices/{','.join(PATTERNS)}", format="json", bytes="b", h=columns)
    return list(_in_series(rows, _written(elasticsearch), datetime.now(UTC).timestamp()))


def _written(elasticsearch: Elasticsearch) -> set[str]:
    """Return the write indices of all aliases."""
    found = elasticsearch.get(f"_alias/{','.join(f'{name}*' for name in PATTERNS)}")
    return {
        index
        for index, content in found.items()
        for alias in content["aliases"].values()
        if alias.get("is_write_index")
    }


def _in_series(rows: Iterable[dict[str, Any]], written: set[str], now: float) -> Iterator[Index]:
    """Determine the order of the indices in each series."""
    series: dict[str, list[Index]] = {}
    for row in rows:
        found = _SERIES.fullmatch(row["index"])
        name = found[1] if found else row["index"]
        created = int(row["creation.date"]) / 1000
        size = int(row["store.size"] or 0)
        is_red = row["health"] == "red"
        series.setdefault(name, []).append(Index(row["index"], name, size, created, now, False, is_red))
    for members in series.values():
        members.sort(key=lambda each: (each.created, each.name))
        for index, follower in zip(members, [*members[1:], None], strict=True):
            is_current = follower is None or index.name in written
            newest = now if is_current or not follower else follower.created
            yield replace(index, is_current=is_current, newest=newest)


def to_delete(found: Iterable[Index], now: float, days: float, limit: float) -> list[tuple[Index, str]]:
    """Return the indices to delete, oldest first, with the reason.

    Args:
        found: All indices.
        now: The current time, in seconds since the epoch.
        days: The maximum age of a line in days.
        limit: The maximum total size in bytes.
    """
    there = list(found)
    total = sum(index.size for index in there)
    chosen = []
    ended = [index for index in there if not index.is_current]
    for index in sorted(ended, key=lambda each: each.newest):
        if now - index.newest > days * DAY:
            chosen.append((index, "age"))
        elif total > limit:
            chosen.append((index, "size"))
        else:
            continue
        total -= index.size
    return chosen


class Retention:
    """Keeps the indices within the limits."""

    def __init__(self, elasticsearch: Elasticsearch, settings: Settings) -> None:
        """Use this cluster and these settings."""
        self._elasticsearch = elasticsearch
        self._settings = settings
        # Each node has its share of the data.
        self._limit = settings.retention_bytes * settings.nodes
        # At this size, two indices for each alias use half of the limit.
        self._rollover_bytes = min(settings.rollover_bytes, settings.retention_bytes // (4 * len(ALIASES)))
        self._deleted: list[str] = []
        self._failures: list[str] = []

    def carry_out(self) -> dict[str, Any]:
        """Delete and roll over indices as necessary, and return the result.

        If Elasticsearch rejects one step, the others still run: while the disk is full it cannot create an
        index, but it can delete.
        """
        self._delete()
        for alias in self._damaged():
            self._roll_over(alias, {})
        for alias in ALIASES:
            self._roll_over(
                alias,
                {
                    "max_age": f"{self._settings.rollover_days}d",
                    "max_primary_shard_size": f"{self._rollover_bytes}b",
                    "min_docs": 1,
                },
            )
        self._delete()
        left = self._replace_largest()
        return {
            "@timestamp": datetime.now(UTC).isoformat(),
            "bytes": sum(index.size for index in left),
            "limit_bytes": self._limit,
            "indices": len(left),
            "deleted": self._deleted,
            "failures": self._failures,
        }

    def _damaged(self) -> list[str]:
        """Return the aliases whose write index lacks a part."""
        red = self._red()
        if red:
            with suppress(RefusedError):  # some still are
                path = f"_cluster/health/{','.join(red.values())}"
                self._elasticsearch.get(path, wait_for_status="yellow", timeout=_RECOVERY)
            red = self._red()
        return list(red)

    def _red(self) -> dict[str, str]:
        """Return the write indices that lack a part, by alias."""
        return {
            index.series: index.name
            for index in indices(self._elasticsearch)
            if index.is_red and index.is_current and index.series in ALIASES
        }

    def _replace_largest(self) -> list[Index]:
        """If the current indices alone exceed the limit, roll over the largest and delete it."""
        for _ in ALIASES:
            left = indices(self._elasticsearch)
            if sum(index.size for index in left) <= self._limit:
                return left
            current = [each for each in left if each.is_current and each.series in ALIASES]
            largest = max(current, key=lambda each: each.size, default=None)
            if not largest or not self._roll_over(largest.series, {"min_docs": 1}):
                return left
            self._delete()
        return indices(self._elasticsearch)

    def _delete(self) -> None:
        now = datetime.now(UTC).timestamp()
        found = indices(self._elasticsearch)
        for index, reason in to_delete(found, now, self._settings.retention_days, self._limit):
            try:
                self._elasticsearch.delete(index.name)
            except RefusedError as error:
                self._failures.append(str(error))
                record("kept", index=index.name, reason=str(error))
            else:
                self._deleted.append(index.name)
                record("deleted", index=index.name, reason=reason, bytes=index.size)

    def _roll_over(self, alias: str, conditions: dict[str, Any]) -> bool:
        try:
            done = self._elasticsearch.post(f"{alias}/_rollover", {"conditions": conditions})
        except RefusedError as error:
            self._failures.append(str(error))
            record("not begun", alias=alias, reason=str(error))
            return False
        if done["rolled_over"]:
            record("began", index=done["new_index"])
        return bool(done["rolled_over"])
