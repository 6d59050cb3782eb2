"""The processes of this host, found by what they are: a number may have been given to another since."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.host import LabError


@dataclass(frozen=True)
class Process:
    """A process as it was when it was looked at."""

    pid: int
    argv: tuple[str, ...]
    root: tuple[int, int] | None  # device and inode of its root directory

    def runs_in(self, directory: Path) -> bool:
        """Whether this directory is its root, as it is for what runs in a container."""
        try:
            found = directory.stat()
        except FileNotFoundError:
            return False
        return self.root == (found.st_dev, found.st_ino)


def processes() -> Iterator[Process]:
    """Every process there is, but kernel threads and what ends meanwhile."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                argv = tuple((entry / "cmdline").read_text(errors="replace").split("\0")[:-1])
                root = _root(entry)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if argv:
                yield Process(int(entry.name), argv, root)


def _root(entry: Path) -> tuple[int, int] | None:
    try:
        found = (entry / "root").stat()
    except PermissionError:
        return None
    return found.st_dev, found.st_ino


def start(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    first: Callable[[], None] | None = None,
) -> None:
    """Start a process that lives on without this one.

    Args:
        command: The program and its arguments.
        log: The file that gets what it prints.
        environment: Variables beside this process' own.
        first: Is called in the new process before the program.
    """
    with log.open("wb") as output:
        started = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | (environment or {}),
            start_new_session=True,
            preexec_fn=first,  # noqa: PLW1509 # there are no other threads here
        )
    # Just after it has begun a program has no arguments yet, and nobody would find it by them.
    while started.poll() is None and not Path(f"/proc/{started.pid}/cmdline").read_bytes():
        time.sleep(0.001)


def end(belongs: Callable[[Process], bool], within: float = 20) -> None:
    """Kill processes, and what they start meanwhile.

    Args:
        belongs: Says which ones.
        within: Seconds after which to give up.

    Raises:
        LabError: Some are still there.
    """
    deadline = time.monotonic() + within
    while left := [process for process in processes() if belongs(process)]:
        if time.monotonic() > deadline:
            names = ", ".join(f"{process.argv[0]} ({process.pid})" for process in left)
            raise LabError(f"killed, but still there after {within:.0f} s: {names}")
        for process in left:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)
