"""The bundle: a directory with all that a home server installs without the internet, and a manifest of it."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.cache import Job, sha256

FORMAT = 1
_FOLDERS = ("snaps", "images", "manifests")


def bundle(job: Job, description: str, contents: Mapping[str, Sequence[Mapping[str, str]]]) -> None:
    """Put files that other parts made into one directory, and write its `bundle.json`.

    Args:
        job: What to fill.
        description: What this bundle is, for whoever finds it.
        contents: For each folder of a bundle its entries; `source` is where the file is, `<part>/<path>`,
            `file` its name in the folder, and the rest is said of it in the manifest.
    """
    manifest: dict[str, object] = {"format": FORMAT, "description": description}
    for folder in _FOLDERS:
        (job.out / folder).mkdir()
        manifest[folder] = [_add(job, folder, entry) for entry in contents[folder]]
    (job.out / "bundle.json").write_text(json.dumps(manifest, indent=2) + "\n")


def _add(job: Job, folder: str, entry: Mapping[str, str]) -> dict[str, str]:
    file = f"{folder}/{entry['file']}"
    target = job.out / file
    _link(job.find(entry["source"]), target)
    said = {key: value for key, value in entry.items() if key not in ("source", "file")}
    return {**said, "file": file, "sha256": sha256(target)}


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)  # the parts stay in the cache: no second copy of hundreds of megabytes
    except OSError:
        shutil.copy2(source, target)
