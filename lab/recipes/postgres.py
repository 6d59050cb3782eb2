"""PostgreSQL from Debian's packages, laid out as in its official image."""

import re
import shutil
from pathlib import Path

from lab.cache import Job

FILES = Path(__file__).parent / "postgres"

_USER = "999"
# A cluster that the package makes, and what only Debian's own scripts use.
_UNUSED = ("etc/postgresql", "var/lib/postgresql", "usr/share/perl", "usr/share/i18n")


def root(job: Job, userland: str) -> None:
    """Make `root`, the base of an image.

    Args:
        job: What to fill.
        userland: The directory with Debian's packages: `<part>/<path>`.
    """
    target = job.out / "root"
    job.run("cp", "--archive", job.find(userland), target)  # which has device files
    for unused in _UNUSED:
        shutil.rmtree(target / unused)
    for file in ("etc/passwd", "etc/group"):
        path = target / file
        path.write_text(re.sub(r"(?m)^postgres:x:\d+:(\d+:)?", _renumbered, path.read_text()))
    # No link, since the content of /run is not part of an image.
    (target / "var/run").unlink()
    sockets = target / "var/run/postgresql"
    sockets.mkdir(parents=True)
    sockets.chmod(0o3777)
    shutil.copy2(FILES / "docker-entrypoint.sh", target / "usr/local/bin")


def _renumbered(match: re.Match[str]) -> str:
    return f"postgres:x:{_USER}:" + (f"{_USER}:" if match[1] else "")
