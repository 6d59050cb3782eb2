"""Snapshots of the newest indices, in a separate directory."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from homeserver_logstore.audit import record
from homeserver_logstore.client import Elasticsearch, RefusedError
from homeserver_logstore.retention import Index, indices
from homeserver_logstore.settings import Settings

REPOSITORY = "home"
_NAME = re.compile(r"daily-\d{14}")


def chosen(found: Iterable[Index], limit: int) -> list[str]:
    """Return the newest indices whose total size is within a limit in bytes."""
    names, total = [], 0
    for index in sorted(found, key=lambda each: each.newest, reverse=True):
        total += index.size
        if total > limit:
            break
        names.append(index.name)
    return names


def take(elasticsearch: Elasticsearch, settings: Settings) -> str:
    """Create a snapshot, delete surplus ones, and return its name.

    Each uses at most half of the space, because data that only earlier snapshots have is stored as well.

    Raises:
        RefusedError: Elasticsearch did not create it, or only partially.
    """
    name = f"daily-{datetime.now(UTC):%Y%m%d%H%M%S}"
    names = chosen(indices(elasticsearch), settings.snapshots_bytes // 2)
    body = {
        "indices": ",".join(names) or "-*",
        "include_global_state": False,
        "metadata": {"by": "homeserver"},
    }
    elasticsearch.put(f"_snapshot/{REPOSITORY}/{name}", body, wait_for_completion=True)
    made = elasticsearch.get(f"_snapshot/{REPOSITORY}/{name}")["snapshots"][0]
    record("made snapshot", snapshot=name, state=made["state"], indices=len(made["indices"]))
    _remove_old(elasticsearch, settings.snapshots_kept)
    return str(made["state"])


def restore(elasticsearch: Elasticsearch) -> None:
    """Bring back what the newest snapshot has, under its names, if there is one.

    The indices are there at once, and are filled while Elasticsearch goes on.

    Raises:
        RefusedError: Elasticsearch cannot read it.
    """
    names = _own(elasticsearch, complete=True)
    if not names:
        return
    body = {"include_global_state": False, "include_aliases": True}
    try:
        elasticsearch.post(f"_snapshot/{REPOSITORY}/{names[-1]}/_restore", body)
    except RefusedError as error:
        wayout = "to begin without these logs, set elk_snapshots_kept: 0 for one run"
        raise RefusedError(error.status, error.type, f"{error} -> {wayout}") from error
    record("restored snapshot", snapshot=names[-1])


def _own(elasticsearch: Elasticsearch, *, complete: bool = False) -> list[str]:
    """Return the names of the snapshots that this program made, the oldest first."""
    there = elasticsearch.get(f"_snapshot/{REPOSITORY}/_all")["snapshots"]
    return sorted(
        each["snapshot"]
        for each in there
        if _NAME.fullmatch(each["snapshot"]) and (not complete or each["state"] == "SUCCESS")
    )


def _remove_old(elasticsearch: Elasticsearch, kept: int) -> None:
    for name in _own(elasticsearch)[:-kept]:
        elasticsearch.delete(f"_snapshot/{REPOSITORY}/{name}")
        record("removed snapshot", snapshot=name)
