"""Writes lines for the journal."""

import sys


def log(text: str) -> None:
    """Tell something in the journal."""
    sys.stdout.write(f"{escaped(text)}\n")
    sys.stdout.flush()


def escaped(text: str) -> str:
    """Escape what ends a line or cannot be printed: apps name their files as they like."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
