"""Programs that ask somebody at a terminal."""

import os
import pty
import select
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

_PAUSE = 1.0  # seconds after which somebody types again what did not arrive


def answered(
    command: Sequence[str], question: str, answer: str, cwd: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a program, answer once it has asked and hides what is typed, and return all that it showed."""
    child, terminal = pty.fork()
    if not child:
        os.chdir(cwd)
        os.execvpe(command[0], list(command), environment)  # noqa: S606 (no shell is meant)
    shown, typed = "", False
    while True:
        silent = not select.select([terminal], [], [], _PAUSE)[0]
        if not silent:
            if not (part := _read(terminal)):
                break
            shown += part
        # Not again as soon as the program goes on: then it no longer hides what is typed.
        if question in shown and (silent or not typed) and not termios.tcgetattr(terminal)[3] & termios.ECHO:
            os.write(terminal, f"{answer}\r".encode())
            typed = True
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return subprocess.CompletedProcess(command, os.waitstatus_to_exitcode(status), shown, "")


def _read(terminal: int) -> str:
    """Return what a program shows next; nothing once it has ended."""
    try:
        return os.read(terminal, 65536).decode(errors="replace")
    except OSError:
        return ""
