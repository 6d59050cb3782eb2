"""Python packages of requirements.txt that this machine may lack."""

from __future__ import annotations

from typing import Any, NoReturn


class MissingLibraryError(Exception):
    """A package is not installed; the message says which, for which Python, and what to do."""


class _Missing:
    """A placeholder for a missing package, so only code that uses it fails."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, _: str) -> NoReturn:
        from ansible.module_utils.basic import missing_required_lib  # noqa: PLC0415 (costs time)

        raise MissingLibraryError(f"{missing_required_lib(self._name)} -> pip install -r requirements.txt")


def missing(error: ImportError) -> Any:
    """Return a placeholder for a package that cannot be imported: its first use raises an error.

    Raises:
        ImportError: the cause is not a missing package.
    """
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        raise error
    return _Missing(error.name.partition(".")[0])
