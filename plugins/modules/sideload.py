"""The module sideload."""

from __future__ import annotations

DOCUMENTATION = """
module: sideload
short_description: Loads image archives on the host into containerd
description:
  - The containerd of MicroK8s checks its sideload directory every few seconds, loads every archive there and
    then renames it. With a timeout, a command loads the images immediately instead.
  - Roles use P(homeserver.stack.load_images#module). This module is its part on the host.
options:
  images:
    type: list
    elements: dict
    required: true
    description: The images to load.
    suboptions:
      reference:
        type: str
        required: true
        description: The full name of the image.
      sha256:
        type: str
        required: true
        description: The checksum of its archive.
  arrived:
    type: dict
    default: {}
    description: Paths on the host of the archives copied since the last call, by reference.
  keep:
    type: bool
    default: false
    description:
      - Whether these images are kept when the disk is nearly full and no pod uses them.
      - Earlier versions of them, and images of an earlier bundle, are no longer protected.
  timeout:
    type: int
    default: 600
    description:
      - Seconds that loading may take. 0 does not wait.
      - Without waiting, O(keep) has an effect only if containerd has loaded all images.
author: The homeserver.stack maintainers (!UNKNOWN)
attributes:
  check_mode:
    support: full
    description: It reports which archives are missing.
"""

EXAMPLES = """
- homeserver.stack.sideload:
    images:
      - reference: docker.io/library/traefik:v3.7.13
        sha256: 5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef
"""

RETURN = """
missing:
  description: The references of the images whose archives must be copied to the host.
  type: list
  elements: str
  returned: always
waiting:
  description: The references of the images that containerd has not loaded yet.
  type: list
  elements: str
  returned: always
"""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_reference import parse

DIRECTORY = Path("/var/snap/microk8s/common/etc/sideload")
_MICROK8S = "/snap/bin/microk8s"
_PINNED = "io.cri-containerd.pinned"
_BUILT = "localhost/"
_FAILURES = 2  # of one archive; containerd retries forever
_FAILED = "Failed to import"
_LOG_LINES = 5


class Archive(NamedTuple):
    """An image and the checksum of its archive."""

    reference: str
    sha256: str

    @property
    def name(self) -> str:
        """The name that the kubelet uses for the image in containerd."""
        return parse(self.reference).exact

    @property
    def path(self) -> Path:
        """The path where containerd finds it."""
        name = re.sub(r"[^\w.]+", "_", self.reference)[-100:]
        return DIRECTORY / f"{name}-{self.sha256[:12]}.tar"

    @property
    def loaded(self) -> Path:
        """Its path after containerd has loaded it."""
        return self.path.with_suffix(".tar.loaded")

    def receive(self, file: Path) -> Path:
        """Move a file to the directory under a name that containerd ignores, and return its path."""
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        shutil.move(file, part)
        return part

    def lay_out(self, file: Path) -> None:
        """Let containerd load a file at its next check, which may be its first start."""
        self.receive(file).rename(self.path)

    def load(self, file: Path, timeout: int) -> None:
        """Load a file into the running containerd.

        Raises:
            SideloadError: it failed, or took more than `timeout` seconds.
        """
        part = self.receive(file)
        try:
            done = _images("import", str(part), timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise SideloadError(f"not loaded after {timeout} s: {self.reference}") from error
        if done.returncode:
            raise SideloadError(f"cannot be loaded: {self.reference}\n{done.stderr.strip()}")
        part.rename(self.loaded)

    def give_name(self) -> None:
        """Name the loaded image by its digest if pods reference it so. Its archive only has the tag."""
        if digest := parse(self.reference).digest:
            names = _images("ls", "--quiet", f"target.digest=={digest}").stdout.split()
            if names and self.name not in names:
                _images("tag", names[0], self.name)


class SideloadError(Exception):
    """An image was not loaded; the message says which and why."""


class Sideload:
    """The sideload directory, with a file of the checksums of all loaded archives."""

    def __init__(self, archives: list[Archive]) -> None:
        self._archives = archives
        self._memory = DIRECTORY / "homeserver.json"
        self._sums: dict[str, str] = json.loads(self._memory.read_text()) if self._memory.exists() else {}

    def missing(self) -> list[Archive]:
        """Return the archives that are neither loaded nor waiting to be loaded."""
        present = _present()
        return [
            archive
            for archive in self._archives
            if not (archive.path.exists() or archive.loaded.exists() or self._is_loaded(archive, present))
        ]

    def _is_loaded(self, archive: Archive, present: set[str]) -> bool:
        return archive.name in present and self._sums.get(archive.name) == archive.sha256

    def waiting(self) -> list[Archive]:
        """Return the archives that containerd has not loaded yet."""
        return [archive for archive in self._archives if archive.path.exists()]

    def wait(self, timeout: int) -> None:
        """Wait until containerd has loaded the archives in the directory.

        Raises:
            SideloadError: it failed, or took more than `timeout` seconds.
        """
        started = time.time()
        while waiting := self.waiting():
            failures = [line for archive in waiting for line in _failures(archive, started)]
            late = time.time() - started > timeout
            if late or len(failures) >= _FAILURES:
                for archive in waiting:
                    archive.path.unlink()  # containerd gives up, and the next run copies it again
                names = ", ".join(archive.reference for archive in waiting)
                reason = f"not loaded after {timeout} s" if late else "cannot be loaded"
                raise SideloadError(
                    "\n".join([f"{reason}: {names}", *list(dict.fromkeys(failures))[-_LOG_LINES:]])
                )
            time.sleep(1)
        self._remember()

    def _remember(self) -> None:
        """Record the checksums of loaded archives, and delete the archives."""
        new = [archive for archive in self._archives if archive.loaded.exists()]
        if not new:
            return
        for archive in new:
            archive.give_name()
        absent = {archive.name for archive in new} - _present()
        if absent:
            wrong = f"loaded, but there is no image {', '.join(sorted(absent))}"
            raise SideloadError(f"{wrong} -> is that the name in its archive?")
        self._sums |= {archive.name: archive.sha256 for archive in new}
        self._memory.write_text(json.dumps(self._sums))
        for archive in new:
            archive.loaded.unlink()

    def keep(self) -> None:
        """Pin these images, so the kubelet keeps them, and unpin those that they replace."""
        wanted = {archive.name for archive in self._archives}
        if not wanted:
            return
        kept = set(_images("ls", "--quiet", f'labels."{_PINNED}"==pinned').stdout.split())
        for reference in wanted - kept:
            _images("label", reference, f"{_PINNED}=pinned")
        # Other images stay pinned: containerd itself pins the pause image.
        for reference in _replaced(kept & self._sums.keys() - wanted, wanted):
            _images("label", reference, f"{_PINNED}=")


def _replaced(kept: set[str], wanted: set[str]) -> list[str]:
    """Return the images that others replace: those of an earlier bundle, or earlier builds of a role."""
    names = {parse(reference).name for reference in wanted}
    is_bundle = any(not reference.startswith(_BUILT) for reference in wanted)
    return [
        reference
        for reference in sorted(kept)
        if parse(reference).name in names or (is_bundle and not reference.startswith(_BUILT))
    ]


def _present() -> set[str]:
    """Return containerd's images, after waiting for its start; none before it is installed."""
    if not Path(_MICROK8S).exists():
        return set()
    for _ in range(60):
        listed = _images("ls", "--quiet")
        if listed.returncode == 0:
            return set(listed.stdout.split())
        time.sleep(1)
    raise SideloadError(f"containerd does not list its images: {listed.stderr.strip()}")


def _images(*arguments: str, timeout: int | None = None) -> subprocess.CompletedProcess[str]:
    command = [_MICROK8S, "ctr", "images", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)


def _failures(archive: Archive, since: float) -> list[str]:
    """Return the lines of the journal about failures to load an archive."""
    command = ["journalctl", "--unit", "snap.microk8s.daemon-containerd", "--since", f"@{since:.0f}"]
    journal = subprocess.run([*command, "--output", "cat"], capture_output=True, text=True, check=False)
    return [line for line in journal.stdout.splitlines() if archive.path.name in line and _FAILED in line]


def main() -> None:
    """Run the module."""
    image = {"reference": {"required": True}, "sha256": {"required": True}}
    module = AnsibleModule(
        {
            "images": {"type": "list", "elements": "dict", "options": image, "required": True},
            "arrived": {"type": "dict", "default": {}},
            "keep": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    try:
        missing, waiting = _load(module.params, check=module.check_mode)
    except SideloadError as error:
        module.fail_json(msg=str(error))
    module.exit_json(missing=missing, waiting=waiting)


def _load(params: dict[str, Any], *, check: bool) -> tuple[list[str], list[str]]:
    """Return the references of the missing images, and of those that containerd has not loaded yet."""
    archives = [Archive(**image) for image in params["images"]]
    for archive in archives:
        if arrived := params["arrived"].get(archive.reference):
            if params["timeout"]:
                archive.load(Path(arrived), params["timeout"])
            else:
                archive.lay_out(Path(arrived))
    sideload = Sideload(archives)
    missing = sideload.missing()
    if not (missing or check) and (params["timeout"] or not sideload.waiting()):
        sideload.wait(params["timeout"])
        if params["keep"]:
            sideload.keep()
    return [archive.reference for archive in missing], [archive.reference for archive in sideload.waiting()]


if __name__ == "__main__":
    main()
