"""Builds container images on the control machine, and tags them with a hash of their content."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pathspec import PathSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from .image_builders import BuildError, build_command, find_builder, load_command, save_command
from .image_reference import parse

_PACKAGES = Path("build", "site-packages")
"""Where the packages of a Python source are in the build context."""

_LITTER = (
    ".git",
    ".venv",
    ".*_cache",
    ".coverage*",
    "__pycache__",
    "*.pyc",
    "*.egg-info",
    f"/{_PACKAGES}",
)
"""Files that are in a source directory by accident, as patterns of .gitignore."""

_NEEDED = ("!/Dockerfile", "!/.dockerignore", "!/requirements.txt")
"""Files that decide on an image even where .dockerignore keeps them out of it."""

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_MANYLINUX = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")
_SCRATCH = ".build-"
_TIMEOUT = 1800
"""Seconds one step of a build may take."""
_LINES = 20
"""How many of the last lines of a failed step are reported."""


@dataclass(frozen=True)
class Image:
    """An image to build.

    Attributes:
        name: its name without a tag.
        source: directory with a Dockerfile.
        base: reference of the image that the Dockerfile gets as BASE.
        platform: operating system and architecture, such as linux/amd64.
    """

    name: str
    source: Path
    base: str
    platform: str

    @property
    def revision(self) -> str:
        """A hash of the files of the source, the base image and the platform."""
        digest = hashlib.sha256(f"{self.base} {self.platform}".encode())
        for path in self.files():
            executable = path.stat().st_mode & 0o100
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(self.source)} {executable} {content}\n".encode())
        return digest.hexdigest()[:12]

    @property
    def reference(self) -> str:
        """The name with the revision as its tag."""
        return f"{self.name}:{self.revision}"

    def files(self) -> Iterator[Path]:
        """Return the files of the source that are not ignored, in a fixed order.

        Raises:
            BuildError: there is no Dockerfile.
        """
        if not (self.source / "Dockerfile").is_file():
            raise BuildError(f"there is no Dockerfile in {self.source}")
        ignored = _ignored(self.source / ".dockerignore")
        for path in sorted(self.source.rglob("*")):
            if path.is_file() and not ignored.match_file(path.relative_to(self.source)):
                yield path


def _ignored(file: Path) -> PathSpec[GitIgnoreSpecPattern]:
    """Return the patterns of ignored files; the last one that matches a file decides."""
    lines = file.read_text().splitlines() if file.exists() else []
    rules = [_anchored(line) for line in lines if not line.startswith("#")]
    return PathSpec.from_lines(GitIgnoreSpecPattern, [*rules, *_LITTER, *_NEEDED])


def _anchored(line: str) -> str:
    """Turn a line of .dockerignore into one of .gitignore: Docker's patterns start at the root."""
    pattern = line.strip()
    negation = "!" if pattern.startswith("!") else ""
    return f"{negation}/{pattern.removeprefix('!').strip(' /')}"


def archive_path(image: Image, directory: Path) -> Path:
    """Return the path of an image's archive."""
    return directory / f"{_file_name(image.name)}-{image.revision}.tar"


def build(image: Image, archive: Path, base_archive: Path | None) -> None:
    """Build an image, save it as an archive, and remove the archives of earlier revisions.

    Builds into the same directory run one after the other. An archive that another build made is kept.

    Args:
        image: what to build.
        archive: where to save it.
        base_archive: an archive of the base image; None pulls it.

    Raises:
        BuildError: there is no builder, or a step fails.
    """
    builder = find_builder()
    with exclusive_lock(archive.parent):
        if archive.exists():
            return
        for left in archive.parent.glob(f"{_SCRATCH}*"):  # of a build that was killed
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=archive.parent, prefix=_SCRATCH) as scratch:
            partial = _build(builder, image, base_archive, Path(scratch))
            partial.replace(archive)
        for earlier in archive.parent.glob(f"{_file_name(image.name)}-{'?' * 12}.tar"):
            if earlier != archive:
                earlier.unlink()


@contextmanager
def exclusive_lock(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory. It is released when the process ends, however it ends."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _build(builder: str, image: Image, base_archive: Path | None, scratch: Path) -> Path:
    """Build an image in a scratch directory, and return its archive there."""
    context, archive = scratch / "context", scratch / "image.tar"
    for path in image.files():
        target = context / path.relative_to(image.source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    _fetch_packages(image, context)
    # Not every builder takes a tag with a digest. An archive, whose digest was compared, has the tag.
    base = parse(image.base).tagged if base_archive else parse(image.base).exact
    try:
        if base_archive:
            _run(load_command(builder, base_archive))
        _run(
            [
                *build_command(builder),
                f"--platform={image.platform}",
                f"--build-arg=BASE={base}",
                f"--build-arg=REVISION={image.revision}",
                f"--tag={image.reference}",
                str(context),
            ]
        )
        _run(save_command(builder, image.reference, archive))
    finally:
        # Only the archives are kept: the store of the builder would grow forever.
        for reference in (image.reference, base) if base_archive else (image.reference,):
            subprocess.run([builder, "rmi", reference], capture_output=True, check=False)
    return archive


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)


def _fetch_packages(image: Image, context: Path) -> None:
    """Install the requirements of a Python source into the context, for the Python of the image."""
    python = re.search(r"(?:^|/)python:(\d+\.\d+)", image.base)
    requirements = context / "requirements.txt"
    if python is None or not requirements.exists():
        return
    machine = _MACHINES[image.platform.rpartition("/")[2]]
    _run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            f"--requirement={requirements}",
            f"--target={context / _PACKAGES}",
            *("--no-compile", "--only-binary=:all:", "--implementation=cp", f"--python-version={python[1]}"),
            *(f"--platform={manylinux}_{machine}" for manylinux in _MANYLINUX),
        ]
    )


def _run(command: list[str]) -> None:
    """Run one step.

    Raises:
        BuildError: it failed or took too long; with its last lines.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{' '.join(command[:3])} took longer than {_TIMEOUT} s") from error
    if done.returncode:
        said = "\n".join(done.stdout.splitlines()[-_LINES:])
        raise BuildError(f"{' '.join(command[:3])} failed with exit code {done.returncode}:\n{said}")
