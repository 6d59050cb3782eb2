"""Files of this package that go into a machine, a snap or an image as they are."""

import shutil
from pathlib import Path

from lab.cache import IGNORED, Job

LAB = Path(__file__).parent.parent


def files(job: Job, overlay: str) -> None:
    """Make a part of a directory of this package."""
    copy_overlay(overlay, job.out)


def copy_overlay(overlay: str, target: Path) -> None:
    """Copy a directory of this package, links and modes included, but owned by who builds."""
    shutil.copytree(
        LAB / overlay, target, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*IGNORED)
    )
