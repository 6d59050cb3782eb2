"""Finds newer versions among the tags of an image."""

import re
from collections.abc import Iterable
from typing import NamedTuple

_TAG = re.compile(r"(v?)([0-9]+(?:\.[0-9]+)*)([-+][\w.+-]*)?")
_UNFINISHED = re.compile(
    r"(?:^|[-+._])(?:a|alpha|b|beta|rc|pre|preview|dev|nightly|snapshot|canary|edge|test)[0-9.]*(?:$|[-+._])",
    re.IGNORECASE,
)
# How many of the first numbers a policy keeps.
_KEPT = {"patch": 2, "minor": 1}


class Version(NamedTuple):
    """The parts of a tag such as `v1.25.3-alpine`."""

    numbers: tuple[int, ...]
    prefix: str
    suffix: str


def version(tag: str) -> Version | None:
    """Return the version that a tag names; None if it names no finished one."""
    found = _TAG.fullmatch(tag)
    if not found or _UNFINISHED.search(found[3] or ""):
        return None
    return Version(tuple(map(int, found[2].split("."))), found[1], found[3] or "")


def newer(tag: str, tags: Iterable[str], policy: str) -> list[str]:
    """Return the tags that a policy allows instead of a tag, the newest first.

    They have the same suffix and as many numbers. `patch` keeps the first two numbers, `minor` the first one.
    """
    own, kept = version(tag), _KEPT.get(policy)
    if own is None or kept is None:
        return []
    found = [
        (other.numbers, each)
        for each in set(tags)
        if (other := version(each))
        and (other.prefix, other.suffix, len(other.numbers)) == (own.prefix, own.suffix, len(own.numbers))
        and other.numbers[:kept] == own.numbers[:kept]
        and other.numbers > own.numbers
    ]
    return [each for _, each in sorted(found, reverse=True)]
