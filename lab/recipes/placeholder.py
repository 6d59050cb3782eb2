"""Programs whose Go modules come without the pages that are compiled into them."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.cache import Job
from lab.recipes import golang

# Tests know its words, which Jaeger's own placeholder has as well.
PAGE = Path(__file__).parent / "placeholder-page/index.html"


def build(job: Job, source: str, path: str, program: Mapping[str, Any]) -> None:
    """Build a Go program with a placeholder for its pages.

    Args:
        job: What to fill.
        source: The Go module that lacks its pages, path@version.
        path: The path of the first page in it, which is also there in compressed forms.
        program: The settings of `golang.build`.
    """
    golang.module_files(job, source, {})  # puts all of it where the build looks
    root = job.scratch / "go-mod" / source
    job.run("chmod", "--recursive", "u+w", root)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    page = PAGE.read_bytes()
    for name, content in (
        (path, page),
        (f"{path}.gz", gzip.compress(page, mtime=0)),
        (f"{path}.br", _brotli(page)),
    ):
        (root / name).write_bytes(content)
    golang.build(job, **program)


def _brotli(content: bytes) -> bytes:
    """Return a Brotli stream with up to 64 KiB as they are (RFC 7932, section 9.2)."""
    # A window of 16 bits, then a block that is not the last one and not compressed, then an empty last one.
    header = (len(content) - 1) << 4 | 1 << 20
    return header.to_bytes(3, "little") + content + b"\x03"
