"""Exemplars across processes: one recent trace for each histogram bucket.

prometheus_client only supports exemplars in a single process. Here every process has a file of fixed-width
records, one per bucket, which it rewrites in place.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client.samples import Exemplar

WIDTH = 256
FILES = "exemplars_*.json"

Labels = frozenset[tuple[str, str]]


class ExemplarFile:
    """The exemplars of this process."""

    def __init__(self, directory: Path) -> None:
        file = file_of(directory, os.getpid())
        self._descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._slots: dict[Labels, int] = {}
        self._lock = threading.Lock()

    def put(self, labels: dict[str, str], value: float, trace_id: str) -> None:
        """Set the exemplar of the bucket with these labels."""
        record = json.dumps({"labels": labels, "value": value, "trace_id": trace_id, "time": time.time()})
        if len(record) < WIDTH:
            with self._lock:
                slot = self._slots.setdefault(frozenset(labels.items()), len(self._slots))
                os.pwrite(self._descriptor, record.ljust(WIDTH - 1).encode() + b"\n", slot * WIDTH)


def file_of(directory: Path, pid: int) -> Path:
    """Return the path of a process's exemplar file."""
    return directory / FILES.replace("*", str(pid))


def read(directory: Path) -> dict[Labels, Exemplar]:
    """Return the newest exemplar of every bucket, by the bucket's labels."""
    return {
        frozenset(record["labels"].items()): Exemplar(
            {"trace_id": record["trace_id"]}, record["value"], record["time"]
        )
        for record in sorted(_records(directory), key=lambda record: record["time"])
    }


def _records(directory: Path) -> Iterator[dict[str, Any]]:
    for file in directory.glob(FILES):
        for line in _lines(file):
            # A record may be read in the middle of a write. The next read succeeds.
            with suppress(ValueError):
                yield json.loads(line)


def _lines(file: Path) -> list[str]:
    # A process may exit, and its file disappear, at any time.
    with suppress(FileNotFoundError):
        return file.read_text().splitlines()
    return []
