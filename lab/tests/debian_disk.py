"""A small disk with cloud-init, built from packages, because no registry has a cloud image."""

import shutil

from lab.cache import Job, Part
from lab.host import ensure_packages


def _make(job: Job, suite: str, packages: list[str], megabytes: int) -> None:
    ensure_packages(["e2fsprogs"])
    root = job.out.parent / "root"
    job.run("mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}", suite, root)
    for name in ("vmlinuz", "initrd.img"):
        (found,) = (root / "boot").glob(f"{name}-*")
        shutil.copy(found, job.out / name)
    job.run("mkfs.ext4", "-q", "-d", root, job.out / "disk.img", f"{megabytes}M")


DEBIAN_DISK = Part(
    "debian-disk",
    _make,
    settings={
        "suite": "bookworm",
        "packages": [
            *("linux-image-cloud-amd64", "systemd-sysv", "dbus", "udev", "iproute2", "netplan.io"),
            *("cloud-init", "openssh-server", "python3", "sudo"),
        ],
        "megabytes": 1536,
    },
)
