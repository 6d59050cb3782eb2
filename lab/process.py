"""The processes of this host, identified by their properties, because a process id may be reused."""

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
    """A process at the time it was read."""

    pid: int
    argv: tuple[str, ...]
    root: tuple[int, int] | None  # device and inode of its root directory

    def runs_in(self, directory: Path) -> bool:
        """Return whether this directory is its root, as for processes in a container."""
        try:
            found = directory.stat()
        except FileNotFoundError:
            return False
        return self.root == (found.st_dev, found.st_ino)


def processes() -> Iterator[Process]:
    """Yield every process, except kernel threads and those that exit meanwhile."""
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
    """Start a process that continues without this one.

    Args:
        command: The program and its arguments.
        log: The file for its output.
        environment: Variables in addition to this process's own.
        first: A function that the new process calls before it runs the program.
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
    # Wait until the new program has its arguments, by which other processes find it.
    while started.poll() is None and not Path(f"/proc/{started.pid}/cmdline").read_bytes():
        time.sleep(0.001)


def end(belongs: Callable[[Process], bool], within: float = 20) -> None:
    """Kill processes, and those that they start meanwhile.

    Args:
        belongs: Selects the processes.
        within: The timeout in seconds.

    Raises:
        LabError: Some still exist after the timeout.
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
