"""The bundle: a directory with all files for an offline installation of a home server, and their manifest."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.cache import Job, sha256

FORMAT = 1
_FOLDERS = ("snaps", "images", "manifests")


def bundle(
    job: Job, description: str, architecture: str, contents: Mapping[str, Sequence[Mapping[str, str]]]
) -> None:
    """Collect the files of other parts in one directory, and write its `bundle.json`.

    Args:
        job: The job whose output directory is filled.
        description: A description of this bundle for people.
        architecture: What the snaps and images run on, as images name it.
        contents: The entries of each folder of the bundle; `source` is the path of the file, `<part>/<path>`,
            `file` its name in the folder, and all other keys are copied to the manifest.
    """
    manifest: dict[str, object] = {
        "format": FORMAT,
        "description": description,
        "architecture": architecture,
    }
    for folder in _FOLDERS:
        (job.out / folder).mkdir()
        manifest[folder] = [_add(job, folder, entry) for entry in contents[folder]]
    (job.out / "bundle.json").write_text(json.dumps(manifest, indent=2) + "\n")


def _add(job: Job, folder: str, entry: Mapping[str, str]) -> dict[str, str]:
    file = f"{folder}/{entry['file']}"
    target = job.out / file
    _link(job.find(entry["source"]), target)
    details = {key: value for key, value in entry.items() if key not in ("source", "file")}
    return {**details, "file": file, "sha256": sha256(target)}


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)  # parts stay in the cache, so hundreds of megabytes are not copied
    except OSError:
        shutil.copy2(source, target)
