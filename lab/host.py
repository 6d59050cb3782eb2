"""The lab's requirements of its host: root, and Debian packages."""

import os
import shutil
import subprocess
from collections.abc import Collection

# Every machine needs these packages; site.yml builds images on the host it runs on.
MACHINE_PACKAGES = ("iproute2", "openssh-client", "buildah")

# A host's own daily update may hold the lock.
_APT_GET = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--option=DPkg::Lock::Timeout=300")


class LabError(Exception):
    """An error message for the user, with its fix."""


def run(*argv: str) -> str:
    """Run a program and return its standard output.

    Raises:
        LabError: It is not installed, or failed; the message contains its last lines.
    """
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed") from None
    if done.returncode:
        output_lines = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise LabError("\n".join([f"{' '.join(argv)}: exit code {done.returncode}", *output_lines]))
    return done.stdout


def require_root() -> None:
    """Fail unless the user is root.

    Raises:
        LabError: The user is not root.
    """
    if os.geteuid():
        raise LabError("the lab creates machines, which needs root: run it with sudo, or as root")


def ensure_packages(names: Collection[str]) -> None:
    """Install missing Debian packages.

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
