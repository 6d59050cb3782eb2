"""File systems and programs from Debian's packages."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.cache import Job
from lab.recipes.overlay import copy_overlay

_SMALL_AND_FAST = (
    "--variant=minbase",
    # With /usr merged from the start, neither the package that merges it nor its Perl is needed.
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    "--include=usr-is-merged",
    "--dpkgopt=force-unsafe-io",
    # A throwaway machine needs no manuals, and unpacking them takes time at each start.
    *(f"--dpkgopt=path-exclude=/usr/share/{directory}/*" for directory in ("man", "doc", "info", "locale")),
)


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
        *("mmdebstrap", *_SMALL_AND_FAST, f"--include={','.join(packages)}"),
        f'--customize-hook=cp --archive {files}/. "$1"',
        *(f'--customize-hook=chroot "$1" {command}' for command in commands),
        *(suite, job.out / "rootfs.tar"),
    )


def userland(
    job: Job, suite: str, packages: Sequence[str], without: Sequence[str], links: Mapping[str, str]
) -> None:
    """Make `root`, the directory that an image with a Debian userland has as its base.

    Args:
        job: What to fill.
        suite: Debian's code name.
        packages: What is installed beside the essential packages.
        without: Files of these packages that are left out.
        links: Path and target of each link that is added.
    """
    root = job.out / "root"
    job.run(
        *("mmdebstrap", *_SMALL_AND_FAST, f"--include={','.join(packages)}"),
        *(f"--dpkgopt=path-exclude={path}" for path in without),
        *(suite, root),
    )
    _link(root, links)


def programs(job: Job, suite: str, packages: Sequence[str], links: Mapping[str, str]) -> None:
    """Unpack packages under `root`, without what they depend on and without running their scripts.

    Args:
        job: What to fill.
        suite: Debian's code name.
        packages: All that is unpacked: programs, and the libraries that the machine may lack.
        links: Path and target of each link that the scripts would have made.
    """
    downloads = job.out.parent / "downloads"
    root = job.out / "root"
    job.run(
        *("mmdebstrap", "--variant=extract", f"--include={','.join(packages)}", "--skip=cleanup"),
        *(suite, downloads),
    )
    for package in packages:
        (archive,) = (downloads / "var/cache/apt/archives").glob(f"{package}_*.deb")
        job.run("dpkg-deb", "--extract", archive, root)
    for directory in (
        "bin",
        "sbin",
        "lib",
        "lib64",
    ):  # everything belongs in /usr, but not all packages put it there
        if (root / directory).is_dir():
            shutil.copytree(root / directory, root / "usr" / directory, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(root / directory)
    shutil.rmtree(root / "usr/share")
    _link(root, links)


def _link(root: Path, links: Mapping[str, str]) -> None:
    for link, target in links.items():
        (root / link).symlink_to(target)
