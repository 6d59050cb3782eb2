"""The programs that can build container images on the control machine, and their commands."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

_BUILDERS = ("podman", "docker", "buildah")


class BuildError(Exception):
    """An image cannot be built; the message says why and how to fix it."""


def find_builder() -> str:
    """Return the first program that can build images on this machine.

    Raises:
        BuildError: there is none.
    """
    for name in _BUILDERS:
        if shutil.which(name) and (name != "docker" or _docker_runs()):
            return name
    raise BuildError(
        f"none of {', '.join(_BUILDERS)} can build an image on this machine -> install one of them, "
        "for example: apt install buildah"
    )


def _docker_runs() -> bool:
    """Return whether the docker daemon answers; the command can exist without it."""
    try:
        answer = subprocess.run(["docker", "version"], capture_output=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return False
    return answer.returncode == 0


def load_command(builder: str, archive: Path) -> list[str]:
    """Return the command that loads an image from an archive."""
    if builder != "buildah":
        return [builder, "load", f"--input={archive}"]
    with tarfile.open(archive) as tar:
        form = "docker-archive" if "manifest.json" in tar.getnames() else "oci-archive"
    return [builder, "pull", "--quiet", f"{form}:{archive}"]


def save_command(builder: str, reference: str, archive: Path) -> list[str]:
    """Return the command that saves an image as an archive."""
    if builder == "buildah":
        return [builder, "push", "--quiet", reference, f"docker-archive:{archive}:{reference}"]
    return [builder, "save", f"--output={archive}", reference]
