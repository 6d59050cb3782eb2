"""File systems and programs from Debian's packages."""

import shutil
from collections.abc import Mapping, Sequence

from lab.cache import Job
from lab.recipes.overlay import copy_overlay

# Nobody reads manuals in a throwaway machine, and unpacking them takes time at each start.
_WITHOUT_MANUALS = [
    f"--dpkgopt=path-exclude=/usr/share/{directory}/*" for directory in ("man", "doc", "info", "locale")
]


def machine(job: Job, suite: str, packages: Sequence[str], overlay: str, commands: Sequence[str]) -> None:
    """Make a machine's root file system, `rootfs.tar`.

    Args:
        job: What to fill.
        suite: Debian's code name.
        packages: What is installed beside the essential packages.
        overlay: A directory of this package, copied over the root.
        commands: Run in it afterwards, by a shell.
    """
    files = job.out.parent / "overlay"
    copy_overlay(overlay, files)
    job.run(
        *("mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}", *_WITHOUT_MANUALS),
        f'--customize-hook=cp --archive {files}/. "$1"',
        *(f'--customize-hook=chroot "$1" {command}' for command in commands),
        *(suite, job.out / "rootfs.tar"),
    )


def userland(job: Job, suite: str, packages: Sequence[str]) -> None:
    """Make `root`, the directory that an image with a Debian userland has as its base."""
    job.run(
        *("mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}", *_WITHOUT_MANUALS),
        *(suite, job.out / "root"),
    )


def programs(job: Job, suite: str, packages: Sequence[str], links: Mapping[str, str]) -> None:
    """Unpack packages into `usr`, without what they depend on and without running their scripts.

    Args:
        job: What to fill.
        suite: Debian's code name.
        packages: All that is unpacked: programs, and the libraries that the machine may lack.
        links: Path and target of each link that the scripts would have made.
    """
    downloads = job.out.parent / "downloads"
    unpacked = job.out.parent / "unpacked"
    job.run(
        *("mmdebstrap", "--variant=extract", f"--include={','.join(packages)}", "--skip=cleanup"),
        *(suite, downloads),
    )
    for package in packages:
        (archive,) = (downloads / "var/cache/apt/archives").glob(f"{package}_*.deb")
        job.run("dpkg-deb", "--extract", archive, unpacked)
    for directory in ("bin", "sbin", "lib"):  # Debian 12 has them in /usr, not all its packages know
        if (unpacked / directory).is_dir():
            shutil.copytree(
                unpacked / directory, unpacked / "usr" / directory, symlinks=True, dirs_exist_ok=True
            )
    shutil.rmtree(unpacked / "usr/share")
    (unpacked / "usr").rename(job.out / "usr")
    for link, target in links.items():
        (job.out / link).symlink_to(target)
