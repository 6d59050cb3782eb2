"""What the lab needs of the host it runs on: root, and Debian packages."""

import os
import shutil
import subprocess
from collections.abc import Iterable


class LabError(Exception):
    """What went wrong and what to do about it, as the user is to read it."""


def run(*argv: str, timeout: float | None = None) -> str:
    """Run a program to its end.

    Args:
        argv: The program and its arguments.
        timeout: Seconds after which it is killed; without one it may take as long as it likes.

    Returns:
        What it printed to its standard output.

    Raises:
        LabError: It failed, with the last of what it said, or took too long.
    """
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout)
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(argv)}: no end after {timeout:.0f} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise LabError("\n".join([f"{' '.join(argv)}: exit code {done.returncode}", *said]))
    return done.stdout


def require_root() -> None:
    """Refuse to go on as an ordinary user.

    Raises:
        LabError: The user is not root.
    """
    if os.geteuid():
        raise LabError("the lab makes machines, which takes root: run it with sudo, or as root")


def ensure_packages(names: Iterable[str]) -> None:
    """Install the Debian packages that are not there yet.

    Raises:
        LabError: The host has no apt, or apt cannot install them.
    """
    missing = [name for name in names if not _installed(name)]
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise LabError(f"the lab runs on Debian and Ubuntu; elsewhere install {' '.join(missing)} by hand")
    run("apt-get", "update", "-qq")
    run(
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "install",
        "-qq",
        "--yes",
        "--no-install-recommends",
        *missing,
    )


def _installed(package: str) -> bool:
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return done.stdout == "installed"
