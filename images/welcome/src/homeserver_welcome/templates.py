"""Reads the files in texts/."""

from importlib.resources import files
from string import Template

_TEXTS = files("homeserver_welcome").joinpath("texts")


def read(name: str) -> bytes:
    """Return the content of a file."""
    return _TEXTS.joinpath(name).read_bytes()


def fill(name: str, **fields: str) -> str:
    """Return a template of HTML with its fields. They are HTML as well.

    Raises:
        KeyError: A field is missing.
    """
    return Template(read(f"{name}.html").decode()).substitute(fields)
