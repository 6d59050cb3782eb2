"""Exemplars across processes: a recent trace of each histogram bucket.

prometheus_client keeps exemplars in one process only. Here every process owns a file of fixed-width records,
one per bucket, each rewritten in place.
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
        """Make this the exemplar of the bucket that has these labels."""
        record = json.dumps({"labels": labels, "value": value, "trace_id": trace_id, "time": time.time()})
        if len(record) < WIDTH:
            with self._lock:
                slot = self._slots.setdefault(frozenset(labels.items()), len(self._slots))
                os.pwrite(self._descriptor, record.ljust(WIDTH - 1).encode() + b"\n", slot * WIDTH)


def file_of(directory: Path, pid: int) -> Path:
    """The exemplar file of a process."""
    return directory / FILES.replace("*", str(pid))


def read(directory: Path) -> dict[Labels, Exemplar]:
    """The newest exemplar of every bucket, by the bucket's labels."""
    return {
        frozenset(record["labels"].items()): Exemplar(
            {"trace_id": record["trace_id"]}, record["value"], record["time"]
        )
        for record in sorted(_records(directory), key=lambda record: record["time"])
    }


def _records(directory: Path) -> Iterator[dict[str, Any]]:
    for file in directory.glob(FILES):
        for line in _lines(file):
            # A record may be read while it is written: the next read has it.
            with suppress(ValueError):
                yield json.loads(line)


def _lines(file: Path) -> list[str]:
    # A process may end, and its file go, at any time.
    with suppress(FileNotFoundError):
        return file.read_text().splitlines()
    return []
