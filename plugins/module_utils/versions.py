"""Versions of Kubernetes, of MicroK8s' channels, and distributions: `v1.36.3`, `1.36/stable`, `22.04`."""

from __future__ import annotations

import re


def numbers(version: str) -> list[int]:
    """Return the numbers in a version, in their order."""
    return [int(number) for number in re.findall(r"\d+", version)]


def minor(version: str) -> int:
    """Return the second number of a version."""
    return numbers(version)[1]
