"""A bundle: a directory on the control machine with everything for an installation without internet."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

from .checksums import sha256
from .image_reference import parse

FORMAT = 1
MANIFEST = "bundle.json"


class Bundle(NamedTuple):
    """The content of a bundle; every `file` is an absolute path on the control machine."""

    snaps: list[dict[str, Any]]
    images: list[dict[str, Any]]
    manifests: dict[str, str]
    architecture: str = ""
    """Its architecture, such as amd64; empty if unknown."""
    sha256: str = ""
    """Checksum of its manifest, which has the checksums of all other files."""


def read_bundle(directory: Path) -> tuple[Bundle, list[str]]:
    """Read a bundle and check all its files; return it with a sentence for each flaw."""
    empty = Bundle([], [], {})
    try:
        manifest = (directory / MANIFEST).read_bytes()
        content = json.loads(manifest)
    except OSError as error:
        return empty, [f"{directory / MANIFEST} cannot be read ({error.strerror})"]
    except ValueError as error:
        return empty, [f"{directory / MANIFEST} is not JSON ({error})"]
    if content.get("format") != FORMAT:
        return empty, [f"{directory / MANIFEST} has format {content.get('format')!r}, not {FORMAT}"]
    snaps, images, manifests = (
        _located(content.get(kind, []), directory) for kind in ("snaps", "images", "manifests")
    )
    wrong = [flaw for entry in [*snaps, *images, *manifests] if (flaw := _flaw(entry))]
    paths = {entry["name"]: entry["file"] for entry in manifests}
    own = hashlib.sha256(manifest).hexdigest()
    return Bundle(snaps, images, paths, content.get("architecture", ""), own), wrong


def _located(entries: list[dict[str, Any]], directory: Path) -> list[dict[str, Any]]:
    paths = ("file", "assertion")
    return [
        {key: str(directory / value) if key in paths else value for key, value in entry.items()}
        for entry in entries
    ]


def _flaw(entry: dict[str, Any]) -> str:
    try:
        found = sha256(Path(entry["file"]))
    except OSError as error:
        return f"{entry['file']} cannot be read ({error.strerror})"
    if found != entry["sha256"]:
        return f"{entry['file']} has SHA-256 {found}, not {entry['sha256']} as the manifest says"
    digest = parse(entry.get("reference", "")).digest
    if digest and digest not in _digests(Path(entry["file"])):
        return f"{entry['file']} has no image with the digest of {entry['reference']}"
    return ""


def _digests(archive: Path) -> set[str]:
    """Return the digests of the images in an archive, if its manifests have them.

    When containerd loads the archive, it verifies everything that a manifest references.
    """
    try:
        with tarfile.open(archive) as tar:
            listed = {str(image["digest"]) for image in json.loads(_read(tar, "index.json"))["manifests"]}
            return {digest for digest in listed if _digest(_read(tar, _blob(digest))) == digest}
    # An archive in Docker's own format has no digests.
    except (tarfile.TarError, KeyError, ValueError):
        return set()


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    return file.read() if file else b""
