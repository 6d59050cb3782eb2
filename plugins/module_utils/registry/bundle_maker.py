"""Makes a bundle from a snap store, registries and web servers."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..nodes.snap_store import Snap, Store
from .bundle import FORMAT, MANIFEST
from .checksums import sha256
from .client import Registries
from .downloads import Checksum, Say, Web
from .image_reference import parse

_FOLDERS = ("snaps", "images", "manifests")
_SCRATCH = ".unfinished"
# MicroK8s' snap runs with any snapd, but if the distribution's is too old, snapd is a snap itself.
_SNAPD = "snapd"
_STABLE = "latest/stable"


class Wanted(NamedTuple):
    """Everything that a home installs."""

    channel: str
    """Channel of the snap microk8s."""
    images: Mapping[str, str]
    """The purpose of each image, empty for most, by its full name."""
    manifests: Mapping[str, Mapping[str, str]]
    """The `url`, `version` and `sha256` of each, by its name."""


class Sources(NamedTuple):
    """The sources of the downloads."""

    web: Web
    store: Store
    registries: Registries


def make(directory: Path, platform: str, wanted: Wanted, sources: Sources, say: Say) -> bool:
    """Download the missing parts of a bundle, and return whether it has changed.

    A file only gets its final name when it is complete, so the next call continues after an interruption.

    Raises:
        DownloadError: a server does not return the expected file.
        OSError: a file cannot be written.
    """
    for folder in (*_FOLDERS, _SCRATCH):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    maker = _Maker(directory, platform, sources, say)
    content = {
        "format": FORMAT,
        "description": f"MicroK8s {wanted.channel} and what this home runs in it, for {platform}",
        "architecture": platform.rpartition("/")[2],
        "snaps": list(maker.snaps(wanted.channel)),
        "images": list(maker.images(wanted.images)),
        "manifests": list(maker.manifests(wanted.manifests)),
    }
    text = json.dumps(content, indent=2) + "\n"
    file = directory / MANIFEST
    changed = not file.exists() or file.read_text() != text
    if changed:
        unfinished = directory / _SCRATCH / MANIFEST
        unfinished.write_text(text)
        unfinished.replace(file)
    _tidy(directory, content)
    return changed


class _Maker:
    """Downloads the parts of one bundle, and describes them."""

    def __init__(self, directory: Path, platform: str, sources: Sources, say: Say) -> None:
        self._directory = directory
        self._platform = platform
        self._sources = sources
        self._say = say

    def snaps(self, channel: str) -> Iterator[dict[str, Any]]:
        """Yield the snaps, with MicroK8s after its dependencies."""
        architecture = self._platform.rpartition("/")[2]
        store = self._sources.store
        microk8s = store.find("microk8s", channel, architecture)
        others = [store.find(name, _STABLE, architecture) for name in (_SNAPD, microk8s.base) if name]
        for snap in (*others, microk8s):
            yield self._snap(snap)

    def _snap(self, snap: Snap) -> dict[str, Any]:
        self._say(f"{self._platform}: snap {snap.name} {snap.version}")
        file, assertions = self._sources.store.save(snap, self._directory / "snaps")
        return {
            "name": snap.name,
            "version": snap.version,
            "revision": snap.revision,
            "confinement": snap.confinement,
            **self._described(file),
            "assertion": str(assertions.relative_to(self._directory)),
        }

    def images(self, purposes: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Yield the images. Each is looked up by its name first, because the name may have moved."""
        for number, (reference, purpose) in enumerate(purposes.items(), start=1):
            self._say(f"{self._platform}: image {number} of {len(purposes)}, {reference}")
            found = self._sources.registries.find(reference, self._platform)
            archive = self._directory / "images" / _file_name(reference, found.manifest.digest)
            if not archive.exists():
                self._sources.registries.save(found, archive, self._directory / _SCRATCH)
            yield {
                "reference": reference,
                "digest": found.top.digest,
                **({"purpose": purpose} if purpose else {}),
                **self._described(archive),
            }

    def manifests(self, wanted: Mapping[str, Mapping[str, str]]) -> Iterator[dict[str, Any]]:
        """Yield the manifests. This collection has their checksums."""
        for name, manifest in wanted.items():
            file = self._directory / "manifests" / f"{name}-{manifest['sha256'][:12]}.yml"
            self._sources.web.fetch(manifest["url"], file, Checksum("sha256", manifest["sha256"]))
            yield {"name": name, "version": manifest["version"], **self._described(file)}

    def _described(self, file: Path) -> dict[str, str]:
        return {"file": str(file.relative_to(self._directory)), "sha256": sha256(file)}


def _file_name(reference: str, digest: str) -> str:
    """Return a file name that is unique for this image, even among images of the same name."""
    readable = re.sub(r"[^\w.]+", "-", parse(reference).tagged)
    return f"{readable}-{digest.partition(':')[2][:12]}.tar"


def _tidy(directory: Path, content: Mapping[str, Any]) -> None:
    """Remove files of an earlier bundle that are not part of this one."""
    entries = [entry for folder in _FOLDERS for entry in content[folder]]
    kept = {directory / entry[key] for entry in entries for key in ("file", "assertion") if key in entry}
    for folder in _FOLDERS:
        for file in set((directory / folder).iterdir()) - kept:
            file.unlink()
    shutil.rmtree(directory / _SCRATCH)
