"""Disks that distributions publish for virtual machines."""

import shutil
import urllib.request

from lab import cache
from lab.host import LabError

NAME = "disk.img"


def download(job: cache.Job, url: str, sha256: str | None) -> None:
    """Download a disk, `disk.img`.

    Args:
        job: What to fill.
        url: Where it is, by https.
        sha256: Its checksum, or None for the one in the publisher's list beside it, SHA256SUMS.

    Raises:
        LabError: It cannot be had, or is not what the checksum says.
    """
    directory, name = url.rsplit("/", 1)
    disk = job.out / NAME
    try:
        expected = sha256 or _listed(_read(f"{directory}/SHA256SUMS"), name)
        with urllib.request.urlopen(url, timeout=60) as response, disk.open("wb") as file:  # noqa: S310 # checked
            shutil.copyfileobj(response, file, 1 << 20)
    except OSError as error:
        raise LabError(
            f"{url} cannot be downloaded ({error}): set HOMESERVER_LAB_IMAGE to another image, or to a file"
        ) from None
    if (actual := cache.sha256(disk)) != expected:
        raise LabError(f"{url} has the checksum {actual}, not {expected}")


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310 # checked by the caller
        text: str = response.read().decode()
        return text


def _listed(checksums: str, name: str) -> str:
    for line in checksums.splitlines():
        if line.split()[1:] in ([name], [f"*{name}"]):
            return line.split()[0]
    raise LabError(f"no checksum for {name} is published beside it: set HOMESERVER_LAB_IMAGE_SHA256")
