"""What the lab needs of the host it runs on: root, and Debian packages."""

import os
import shutil
import subprocess
from collections.abc import Collection

# What every machine needs of this host; site.yml builds images on the one it is run from.
MACHINE_PACKAGES = ("iproute2", "openssh-client", "buildah")

# A host's own daily update may be running.
_APT_GET = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--option=DPkg::Lock::Timeout=300")


class LabError(Exception):
    """What went wrong and what to do about it, as the user is to read it."""


def run(*argv: str) -> str:
    """Run a program to its end, and return what it printed to its standard output.

    Raises:
        LabError: It is not there, or failed; the last of what it said is quoted.
    """
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed") from None
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


def ensure_packages(names: Collection[str]) -> None:
    """Install the Debian packages that are not there yet.

    Raises:
        LabError: The host has no apt, or apt cannot install them.
    """
    if not shutil.which("apt-get"):
        raise LabError(
            f"the lab runs on Debian and Ubuntu: there is no apt to install {' '.join(names)} with"
        )
    missing = [name for name in names if not _installed(name)]
    if missing:
        run(*_APT_GET, "update", "-qq")
        run(*_APT_GET, "install", "-qq", "--yes", "--no-install-recommends", *missing)


def _installed(package: str) -> bool:
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return done.stdout == "installed"
