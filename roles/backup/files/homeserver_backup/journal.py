"""Writes lines for the journal."""

import sys


def log(text: str) -> None:
    """Write a line to the journal."""
    sys.stdout.write(f"{escaped(text)}\n")
    sys.stdout.flush()


def escaped(text: str) -> str:
    """Escape line breaks and unprintable characters, because apps choose the names of their files."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
