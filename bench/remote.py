"""Commands on a machine of the lab."""

import shlex
import subprocess
from pathlib import Path

from lab.machine import Machine

KUBECTL = "/snap/bin/microk8s kubectl"


def run(machine: Machine, command: str, stdin: str = "") -> str:
    """Run a shell command as root and return what it printed.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    done = subprocess.run(machine.ssh(command), input=stdin, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def send(machine: Machine, file: Path, to: str) -> None:
    """Copy a file there."""
    with file.open("rb") as content:
        subprocess.run(machine.ssh(f"cat > {shlex.quote(to)}"), stdin=content, check=True)
