"""The module sideload."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: sideload
short_description: Have containerd load image archives that are on the host
description:
  - MicroK8s' containerd loads every archive in its sideload directory, where it looks every few seconds, and
    then renames it. What shall be waited for is loaded by command, which takes no such while.
  - This is the part on the host of P(homeserver.stack.load_images#module), which is what a role uses.
options:
  images:
    type: list
    elements: dict
    required: true
    description: The images that shall be loaded.
    suboptions:
      reference:
        type: str
        required: true
        description: The full name of the image.
      sha256:
        type: str
        required: true
        description: The sum of its archive.
  arrived:
    type: dict
    default: {}
    description: By their reference, the paths of the archives that were copied to the host since.
  keep:
    type: bool
    default: false
    description:
      - Whether the kubelet may not remove these images when the disk is nearly full and no pod uses them.
      - Others that were kept before, and are none of these, may be removed again.
  timeout:
    type: int
    default: 600
    description:
      - How many seconds loading may take. 0 does not wait.
      - Then images are kept only if containerd has loaded all of them.
author: The homeserver.stack maintainers
attributes:
  check_mode:
    support: full
    description: It only tells what is missing.
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
  description: The references of the images whose archives containerd has yet to load.
  type: list
  elements: str
  returned: always
"""

DIRECTORY = Path("/var/snap/microk8s/common/etc/sideload")
_MICROK8S = "/snap/bin/microk8s"
_PINNED = "io.cri-containerd.pinned"
_FAILURES = 2  # of one archive; containerd tries again and again
_FAILED = "Failed to import"
_LOG_LINES = 5


class Archive(NamedTuple):
    """An image and the sum of the archive it is in."""

    reference: str
    sha256: str

    @property
    def path(self) -> Path:
        """Where containerd looks for it."""
        name = re.sub(r"[^\w.]+", "_", self.reference)[-100:]
        return DIRECTORY / f"{name}-{self.sha256[:12]}.tar"

    @property
    def loaded(self) -> Path:
        """What containerd makes of it."""
        return self.path.with_suffix(".tar.loaded")

    def receive(self, file: Path) -> Path:
        """Move a file there under a name that containerd does not look for, and give it."""
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        shutil.move(file, part)
        return part

    def lay_out(self, file: Path) -> None:
        """Have containerd load a file when it next looks, which may be when it is first started."""
        self.receive(file).rename(self.path)

    def load(self, file: Path, timeout: int) -> None:
        """Load a file into a containerd that runs.

        Raises:
            SideloadError: that failed, or took more than `timeout` seconds.
        """
        part = self.receive(file)
        try:
            done = _images("import", str(part), timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise SideloadError(f"not loaded after {timeout} s: {self.reference}") from error
        if done.returncode:
            raise SideloadError(f"cannot be loaded: {self.reference}\n{done.stderr.strip()}")
        part.rename(self.loaded)


class SideloadError(Exception):
    """An image was not loaded; the text says which and why."""


class Sideload:
    """The sideload directory and what is remembered of it: the sum of the archive each image came from."""

    def __init__(self, archives: list[Archive]) -> None:
        self._archives = archives
        self._memory = DIRECTORY / "homeserver.json"
        self._sums: dict[str, str] = json.loads(self._memory.read_text()) if self._memory.exists() else {}

    def missing(self) -> list[Archive]:
        """Give the archives that are neither loaded nor waiting to be."""
        present = _present()
        return [
            archive
            for archive in self._archives
            if not (archive.path.exists() or archive.loaded.exists() or self._is_loaded(archive, present))
        ]

    def _is_loaded(self, archive: Archive, present: set[str]) -> bool:
        return archive.reference in present and self._sums.get(archive.reference) == archive.sha256

    def waiting(self) -> list[Archive]:
        """Give the archives that containerd has yet to load."""
        return [archive for archive in self._archives if archive.path.exists()]

    def wait(self, timeout: int) -> None:
        """Wait until containerd has loaded what is in the directory.

        Raises:
            SideloadError: it failed to, or took more than `timeout` seconds.
        """
        started = time.time()
        while waiting := self.waiting():
            failures = [line for archive in waiting for line in _failures(archive, started)]
            late = time.time() - started > timeout
            if late or len(failures) >= _FAILURES:
                for archive in waiting:
                    archive.path.unlink()  # so that containerd gives up, and the next run copies it again
                names = ", ".join(archive.reference for archive in waiting)
                reason = f"not loaded after {timeout} s" if late else "cannot be loaded"
                raise SideloadError(
                    "\n".join([f"{reason}: {names}", *list(dict.fromkeys(failures))[-_LOG_LINES:]])
                )
            time.sleep(1)
        self._remember()

    def _remember(self) -> None:
        """Note what was loaded, and give the space of its archives back."""
        new = [archive for archive in self._archives if archive.loaded.exists()]
        if not new:
            return
        absent = {archive.reference for archive in new} - _present()
        if absent:
            wrong = f"loaded, and yet there is no image {', '.join(sorted(absent))}"
            raise SideloadError(f"{wrong} -> is that the name in its archive?")
        self._sums |= {archive.reference: archive.sha256 for archive in new}
        self._memory.write_text(json.dumps(self._sums))
        for archive in new:
            archive.loaded.unlink()

    def keep(self) -> None:
        """Have the kubelet spare these images, and no longer those it had to spare before."""
        wanted = {archive.reference for archive in self._archives}
        kept = set(_images("ls", "--quiet", f'labels."{_PINNED}"==pinned').stdout.split())
        for reference in wanted - kept:
            _images("label", reference, f"{_PINNED}=pinned")
        # Of those that are none of ours, one is the pause image, which containerd itself keeps.
        for reference in kept & self._sums.keys() - wanted:
            _images("label", reference, f"{_PINNED}=")


def _present() -> set[str]:
    """The images containerd has; none before it is installed, and while it starts we wait for it."""
    if not Path(_MICROK8S).exists():
        return set()
    for _ in range(60):
        listed = _images("ls", "--quiet")
        if listed.returncode == 0:
            return set(listed.stdout.split())
        time.sleep(1)
    raise SideloadError(f"containerd does not say which images it has: {listed.stderr.strip()}")


def _images(*arguments: str, timeout: int | None = None) -> subprocess.CompletedProcess[str]:
    command = [_MICROK8S, "ctr", "images", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)


def _failures(archive: Archive, since: float) -> list[str]:
    """What the journal says of failures to load an archive."""
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
    """Return the references of the images that are missing, and of those that containerd has yet to load."""
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
