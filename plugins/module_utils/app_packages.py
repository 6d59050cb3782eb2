"""Installs the packages of an app on the control machine without running their code."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from .libraries import missing
from .registry.image_builders import BuildError

try:
    from packaging import requirements
except ImportError as error:
    requirements = missing(error)

_EXPECTED = "a name with versions, extras, a marker and hashes"
_COMMENT = re.compile(r"(^|\s)#.*")
_HASH = re.compile(r"\s+--hash[=\s](\S*)")
_STRONG = re.compile(r"sha(256|384|512):[0-9a-f]{64,128}")

# Even with wheels only, pip builds dependencies by URL. Nothing else needs a subprocess.
_PIP = """
import runpy, sys

programs = ("subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system")

def refuse(event, arguments):
    if event in programs:
        raise PermissionError("a package would run a program here -> name a version that has a wheel")

sys.addaudithook(refuse)
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


def pip_install(*arguments: str) -> list[str]:
    """Return a command that installs as `pip install` does, and fails where pip would run a program."""
    return [sys.executable, "-P", "-c", _PIP, "install", "--no-compile", "--only-binary=:all:", *arguments]


def read_requirements(file: Path) -> list[str]:
    """Return the requirements in a file.

    Raises:
        BuildError: a line is an option, a path or a URL. pip might run code from there.
    """
    return [_requirement(file, number, line) for number, line in _lines(file.read_text(errors="replace"))]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Return the lines without comments, by the number of the first; a backslash joins the next line."""
    begun, whole = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        begun = begun or number
        content = _COMMENT.sub("", line).rstrip()
        whole += content.removesuffix("\\")
        if content.endswith("\\"):
            continue
        if whole.strip():
            yield begun, whole.strip()
        begun, whole = 0, ""


def _requirement(file: Path, number: int, line: str) -> str:
    hashes = _HASH.findall(line)
    try:
        requirement = requirements.Requirement(_HASH.sub("", line))
    except requirements.InvalidRequirement:
        requirement = None
    if not requirement or requirement.url or not all(map(_STRONG.fullmatch, hashes)):
        wrong = f"{file}, line {number}: {line!r} (expected {_EXPECTED})"
        raise BuildError(f"{wrong} -> name a package of an index; other options belong in your own pip.conf")
    return " ".join([str(requirement), *(f"--hash={value}" for value in hashes)])
