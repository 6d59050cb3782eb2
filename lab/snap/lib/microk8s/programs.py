"""Running the snap's own programs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from . import paths


def bundled_environment() -> dict[str, str]:
    """Return an environment in which the snap's programs and libraries come first.

    For the snap's own programs only; the host's must not load the snap's libraries.
    """
    libraries = paths.snap() / "usr/lib/x86_64-linux-gnu"
    programs = [paths.snap() / directory for directory in ("bin", "usr/sbin", "usr/bin")]
    return {
        **os.environ,
        "PATH": ":".join([*map(str, programs), os.environ.get("PATH", os.defpath)]),
        "LD_LIBRARY_PATH": str(libraries),
        "XTABLES_LIBDIR": str(libraries / "xtables"),
    }


def path(name: str) -> str:
    """Return the path of a program of the snap."""
    return str(paths.snap() / "bin" / name)


def become(command: list[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace this process with another program: systemd, a terminal and signals then reach it directly."""
    os.execve(Path(command[0]), command, environment)  # noqa: S606  # that is the point


def become_bundled(name: str, flags: list[str]) -> NoReturn:
    """Replace this process with a program of the snap."""
    become([path(name), *flags], bundled_environment())
