"""SHA-256 checksums of large files on the control machine, each computed once."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from ..files import write_atomic

_CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "homeserver" / "checksums.json"


def sha256(file: Path, cache: Path = _CACHE) -> str:
    """Return the SHA-256 of a file in hex, from the cache while its size and modification time are the same.

    Raises:
        OSError: the file cannot be read.
    """
    status = file.stat()
    stamp = f"{file.resolve()} {status.st_size} {status.st_mtime_ns}"
    known = _read(cache)
    if stamp not in known:
        with file.open("rb") as stream:
            known[stamp] = hashlib.file_digest(stream, "sha256").hexdigest()
        _write(cache, known)
    return known[stamp]


def _read(cache: Path) -> dict[str, str]:
    try:
        return {str(stamp): str(digest) for stamp, digest in json.loads(cache.read_text()).items()}
    except (OSError, ValueError):
        return {}


def _write(cache: Path, known: dict[str, str]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    # Forget files that no longer exist.
    kept = {stamp: digest for stamp, digest in known.items() if Path(stamp.rsplit(" ", 2)[0]).exists()}
    write_atomic(cache, json.dumps(kept).encode())
