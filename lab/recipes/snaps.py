"""The lab's snaps."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from lab.cache import MANIFEST, Job
from lab.recipes.overlay import copy_overlay


def snap(
    job: Job, meta: Mapping[str, str], overlay: str, parts: Mapping[str, str], links: Mapping[str, str]
) -> None:
    """Make the snap `<name>.snap`.

    Args:
        job: What to fill.
        meta: Its name and version.
        overlay: A directory of this package, with the rest of meta/snap.yaml, and all else that is this
            project's own.
        parts: For each place in the snap, the file or directory that goes there: `<part>/<path>`.
        links: Path of each link and its target.
    """
    tree = job.out.parent / "tree"
    copy_overlay(overlay, tree)
    described = tree / "meta/snap.yaml"
    added = "".join(f"{key}: {value}\n" for key, value in meta.items())
    described.write_text(added + described.read_text())
    for place, source in parts.items():
        _place(job.find(source), tree / place)
    for link, target in links.items():
        (tree / link).symlink_to(target)
    # zstd takes half of gzip's time, and snapd reads both.
    job.run(
        *("mksquashfs", tree, job.out / f"{meta['name']}.snap"),
        *(
            "-noappend",
            "-no-fragments",
            "-all-root",
            "-no-progress",
            "-comp",
            "zstd",
            "-Xcompression-level",
            "3",
        ),
    )


def _place(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(
            source, target, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST)
        )
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
