"""Writes files atomically."""

import os
from pathlib import Path


def write_atomic(path: Path, text: str, mode: int) -> None:
    """Write a file atomically."""
    beside = path.with_name(f".{path.name}.new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:  # noqa: PTH123
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.chmod(mode)
    beside.replace(path)
