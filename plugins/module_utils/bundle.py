"""A bundle: the directory on the control machine that an installation without internet is made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from .checksums import sha256

FORMAT = 1
MANIFEST = "bundle.json"


class Bundle(NamedTuple):
    """What a bundle holds; every `file` is an absolute path on the control machine."""

    snaps: list[dict[str, Any]]
    images: list[dict[str, Any]]
    manifests: dict[str, str]


def read_bundle(directory: Path) -> tuple[Bundle, list[str]]:
    """Read a bundle and check every file of it: the bundle, and a sentence about each thing wrong with it."""
    empty = Bundle([], [], {})
    try:
        content = json.loads((directory / MANIFEST).read_text())
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
    return Bundle(snaps, images, {entry["name"]: entry["file"] for entry in manifests}), wrong


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
    return ""
