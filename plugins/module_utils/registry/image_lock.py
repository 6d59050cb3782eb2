"""The digests of image tags at their first installation, in a file next to the inventory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ..libraries import missing
from .image_reference import parse

try:
    import yaml
except ImportError as error:
    yaml = missing(error)

Lock = Mapping[str, str]
"""The digest of each image by its name, as the inventory or this collection writes it."""
Resolve = Callable[[str], str]
"""Returns the current digest of a name from its registry, or raises DownloadError."""

# Ansible reads all files of an inventory directory, so this file must also be a valid inventory.
_VARIABLE = "images_lock"
_HEAD = """\
---
# What each image is, whatever its tag stands for later. Written by site.yml;
# playbooks/lock_images.yml takes what the tags stand for now.
"""
_LOOK_EVERY = 7 * 24 * 3600
"""Seconds between checks for moved tags, each of which contacts all registries."""
_AT_ONCE = 8


class LockError(Exception):
    """A lock file is invalid; the message says why and how to fix it."""


class Locked(NamedTuple):
    """The result of an update of a lock."""

    lock: Lock
    moved: Mapping[str, tuple[str, str]]
    """The former and the current digest of an image's tag."""
    unknown: Mapping[str, str]
    """The error of the request to an image's registry."""


def read_lock(file: Path) -> Lock:
    """Return the lock in a file; an empty one if the file does not exist.

    Raises:
        LockError: the file contains something else.
        OSError: it cannot be read.
    """
    if not file.exists():
        return {}
    try:
        lock = yaml.safe_load(file.read_text())["all"]["vars"][_VARIABLE]
        return {str(name): str(digest) for name, digest in lock.items()}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        wrong = f"{file} is not an image lock ({type(error).__name__})"
        raise LockError(f"{wrong} -> remove it: the next run creates a new one") from error


def write_lock(file: Path, lock: Lock) -> bool:
    """Write a lock, and return whether it has changed.

    Raises:
        OSError: it cannot be written.
    """
    if not lock:
        existed = file.exists()
        file.unlink(missing_ok=True)
        return existed
    text = _HEAD + yaml.safe_dump({"all": {"vars": {_VARIABLE: dict(lock)}}}, width=200)
    if file.exists() and file.read_text() == text:
        return False
    unfinished = file.with_name(f".{file.name}.part")
    unfinished.write_text(text)
    unfinished.replace(file)
    return True


def is_due(file: Path) -> bool:
    """Return whether the last check for moved tags was too long ago."""
    return file.exists() and time.time() - file.stat().st_mtime > _LOOK_EVERY


def locked(image: str, lock: Lock) -> str:
    """Return the name of an image with its digest, if that is known."""
    return f"{image}@{lock[image]}" if image in lock else image


def update(lock: Lock, images: Iterable[str], resolve: Resolve, *, look: bool, take: bool) -> Locked:
    """Lock images whose names have no digest, and remove all other entries.

    Args:
        lock: the digests that are known.
        images: the names of all images.
        resolve: returns the digest of an image.
        look: whether to resolve known images as well.
        take: whether a moved tag is locked to its current digest.
    """
    # The import takes time, and a filter also loads this file.
    from .downloads import DownloadError  # noqa: PLC0415

    # Without Ansible's tags, which YAML cannot represent.
    named = sorted({str(image) for image in images if not parse(image).digest})
    kept = {image: lock[image] for image in named if image in lock}
    unknown: dict[str, str] = {}

    def ask(image: str) -> tuple[str, str]:
        try:
            return image, resolve(image)
        except DownloadError as error:
            unknown[image] = str(error)
            return image, ""

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        answers = threads.map(ask, [image for image in named if look or image not in kept])
        found = {image: digest for image, digest in answers if digest}
    moved = {image: (kept[image], now) for image, now in found.items() if kept.get(image, now) != now}
    return Locked({**found, **kept} if not take else {**kept, **found}, moved, unknown)
