"""The argument files of the services: one flag per line, `#` for comments."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from string import Template

from . import paths

# A flag or a variable, and its value.
FLAG = re.compile(r"([^#=\s][^=\s]*)(?:[=\s]+(.*))?$")


def path(service: str) -> Path:
    """Return the argument file of a service."""
    return paths.data() / "args" / service


def parse(text: str, variables: Mapping[str, str]) -> list[str]:
    """Return the arguments in the text of a file.

    Like kubelite: quotes are removed, and spaces separate words even inside quotes.
    """
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    words = re.sub(r"[\"']", "", " ".join(lines)).split()
    return [Template(word).safe_substitute(variables) for word in words]


def load(service: str) -> list[str]:
    """Return the arguments a service is started with."""
    return parse(path(service).read_text(), os.environ)


def environment(service: str) -> dict[str, str]:
    """Return the KEY=value lines of a `-env` file."""
    pairs = re.findall(r"^\s*([^#\s=]+)=(.*?)\s*$", path(service).read_text(), re.MULTILINE)
    return dict(pairs)


def get(service: str, flag: str) -> str | None:
    """Return a flag's value as written, or None if the file does not set it."""
    for line in path(service).read_text().splitlines():
        match = FLAG.match(line.strip())
        if match and match[1] == flag:
            return re.sub(r"[\"']", "", match[2] or "")
    return None


def edited(text: str, changes: Mapping[str, str | None]) -> str:
    """Return an argument file's text with flags set, or removed if their value is None."""
    lines, pending = [], dict(changes)
    for line in text.splitlines():
        match = FLAG.match(line.strip())
        if not match or match[1] not in changes:
            lines.append(line)
        elif match[1] in pending:
            value = pending.pop(match[1])
            lines += [] if value is None else [f"{match[1]}={value}"]
    lines += [f"{flag}={value}" for flag, value in pending.items() if value is not None]
    return "".join(f"{line}\n" for line in lines)


def change(service: str, changes: Mapping[str, str | None]) -> bool:
    """Set flags of a service, remove those whose value is None; return whether anything changed.

    Like MicroK8s, which takes for a flag's old value what is between its first and second `=`, this counts a
    value with a `=` as changed every time.
    """
    file = path(service)
    with exclusive_lock(file.parent):
        old = file.read_text() if file.exists() else ""
        new = edited(old, changes)
        if new != old:
            _replace(file, new)
    return new != old or any("=" in value for value in changes.values() if value)


@contextmanager
def exclusive_lock(directory: Path) -> Iterator[None]:
    """Prevent concurrent changes in a directory: services change files at start, commands at any time."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(file: Path, text: str) -> None:
    """Replace a file atomically: a service that is stopped during a write would leave an empty one."""
    part = file.with_name(f".{file.name}.part")
    part.write_text(text)
    if file.exists():
        shutil.copymode(file, part)
    part.replace(file)


def agent_port() -> int:
    """Return the port of this node's cluster agent; nodes of one cluster have the same."""
    return int((get("cluster-agent", "--bind") or "").rpartition(":")[2])


def has_fixed_address() -> bool:
    """Return whether the owner has set the API server's address, instead of using the default route's."""
    return any(get("kube-apiserver", flag) for flag in ("--advertise-address", "--bind-address"))
