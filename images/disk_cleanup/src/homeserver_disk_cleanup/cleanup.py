"""Frees space on a node: deletes unused images and old image archives."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from homeserver_disk_cleanup.audit import record

DAY = 24 * 3600.0
LEFTOVERS = ("*.tar.loaded", "*.part")
"""Archives that MicroK8s has loaded, and those of interrupted copies."""

_IMAGE = re.compile(r"^(\S+) +\S+ +(sha256:[0-9a-f]{64})\b", re.MULTILINE)
"""The name and the digest in a line of `ctr images ls`."""
_PINNED = 'labels."io.cri-containerd.pinned"==pinned'


class Containerd:
    """The node's containerd, controlled through ctr."""

    def __init__(self, command: list[str]) -> None:
        """Use this command: ctr with its options."""
        self._command = command

    def unused(self) -> Iterator[str]:
        """Return the images that are neither used by a container, running or not, nor pinned.

        An image has several names; if one of them is used, all are kept.
        """
        kept = {*self._run("images", "ls", "--quiet", _PINNED).split(), *self._used()}
        digests = dict(_IMAGE.findall(self._run("images", "ls")))
        in_use = {digest for name, digest in digests.items() if name in kept}
        return (name for name, digest in digests.items() if digest not in in_use)

    def _used(self) -> Iterator[str]:
        rows = self._run("containers", "ls").splitlines()[1:]
        return (row.split()[1] for row in rows)

    def remove(self, image: str) -> None:
        """Remove an image, and wait until its space is free.

        Raises:
            CalledProcessError: containerd did not remove it.
        """
        self._run("images", "rm", "--sync", image)

    def _run(self, *arguments: str) -> str:
        return subprocess.run([*self._command, *arguments], check=True, capture_output=True, text=True).stdout


def leftovers(directory: Path, oldest: float) -> Iterator[Path]:
    """Return the archives in a directory that were last modified before `oldest`, in seconds since 1970."""
    for pattern in LEFTOVERS:
        for path in directory.glob(pattern):
            if path.stat().st_mtime < oldest:
                yield path


def clean(containerd: Containerd, directory: Path) -> int:
    """Free space, record each deletion, and return the number of failures.

    Args:
        containerd: The containerd whose images are deleted.
        directory: The directory with image archives.
    """
    failures = 0
    before = shutil.disk_usage(directory).free
    for image in containerd.unused():
        try:
            containerd.remove(image)
            record("removed image", image=image)
        except subprocess.CalledProcessError as error:
            record("kept image", image=image, reason=error.stderr.strip())
            failures += 1
    for path in leftovers(directory, time.time() - DAY):
        size = path.stat().st_size
        path.unlink()
        record("removed file", file=path.name, bytes=size)
    record("done", freed_bytes=shutil.disk_usage(directory).free - before, failures=failures)
    return failures


def main() -> None:
    """Clean the node that this program runs on."""
    containerd = Containerd(
        [os.environ["CTR"], f"--address={os.environ['CONTAINERD']}", "--namespace=k8s.io"]
    )
    sys.exit(1 if clean(containerd, Path(os.environ["SIDELOAD"])) else 0)


if __name__ == "__main__":
    main()
