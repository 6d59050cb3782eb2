"""Writes files atomically."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_atomic(file: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file at once, even if the machine loses power. Others cannot read it before it has its mode.

    Args:
        file: in a directory that exists.
        content: all of it.
        mode: the permissions of the file.
    """
    handle, beside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # for its owner alone
    with os.fdopen(handle, "wb") as writing:
        writing.write(content)
        writing.flush()
        os.fsync(writing.fileno())
    Path(beside).chmod(mode)
    Path(beside).replace(file)
