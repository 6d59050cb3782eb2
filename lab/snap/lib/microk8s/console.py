"""Console output of the commands."""

import sys
from typing import NoReturn


def say(line: str = "") -> None:
    """Write a line to standard output, unbuffered: a daemon's output is read in the journal."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def warn(line: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{line}\n")


def leave(line: str, code: int) -> NoReturn:
    """Print a line and exit with an exit code."""
    say(line)
    sys.exit(code)
