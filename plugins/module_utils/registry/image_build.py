"""Builds container images on the control machine, and tags them with a hash of their content."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..app_packages import (
    pip_install,
    read_requirements,
)
from ..libraries import missing
from .image_builders import (
    BuildError,
    find_builder,
    load_command,
    save_command,
)
from .image_reference import parse

try:
    import pathspec.patterns.gitignore.spec
except ImportError as error:
    pathspec = missing(error)

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
        source: a directory with a Dockerfile.
        base: reference of the image that the Dockerfile gets as BASE.
        platform: operating system and architecture, such as linux/amd64.
        within: the directory that links in the source must not leave; None for the source itself.
    """

    name: str
    source: Path
    base: str
    platform: str
    within: Path | None = None

    @cached_property
    def revision(self) -> str:
        """A hash of the files of the source, the base image and the platform. The files are read once."""
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
            BuildError: there is no Dockerfile, or a link leaves the source.
        """
        if not (self.source / "Dockerfile").is_file():
            raise BuildError(f"there is no Dockerfile in {self.source}")
        rules = self.source / ".dockerignore"
        self._require_within(rules)
        ignored = _ignored(rules)
        for path in sorted(self.source.rglob("*")):
            if ignored.match_file(path.relative_to(self.source)):
                continue
            self._require_within(path)
            if path.is_file():
                yield path

    def _require_within(self, path: Path) -> None:
        """Reject a link out of the source: it could expose a file of the owner to the app.

        Raises:
            BuildError: it is such a link.
        """
        boundary = (self.within or self.source).resolve()
        target = Path(os.path.realpath(path))
        if path.is_symlink() and (
            not target.is_relative_to(boundary) or _of_git(target.relative_to(boundary))
        ):
            link = f"{path.relative_to(self.source)} is a link to {path.readlink()}"
            wrong = f"{link}, which is not part of {boundary}"
            raise BuildError(f"{wrong} -> replace it with its target, or remove it")


def _of_git(path: Path) -> bool:
    """Return whether this is part of .git, which contains the login of a clone."""
    return any(part.lower() == ".git" for part in path.parts)


def _ignored(file: Path) -> pathspec.PathSpec[pathspec.patterns.gitignore.spec.GitIgnoreSpecPattern]:
    """Return the patterns of ignored files; the last one that matches a file decides."""
    lines = file.read_text().splitlines() if file.exists() else []
    rules = [_anchored(line) for line in lines if not line.startswith("#")]
    pattern = pathspec.patterns.gitignore.spec.GitIgnoreSpecPattern
    return pathspec.PathSpec.from_lines(pattern, [*rules, *_LITTER, *_NEEDED])


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
        for left in archive.parent.glob(f"{_SCRATCH}*"):  # left by a killed build
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=archive.parent, prefix=_SCRATCH) as scratch:
            partial = _build(builder, image, base_archive, Path(scratch))
            partial.replace(archive)
        for earlier in archive.parent.glob(f"{_file_name(image.name)}-{'?' * 12}.tar"):
            if earlier != archive:
                earlier.unlink()


@contextmanager
def exclusive_lock(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory. It is released even if the process is killed."""
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
    _install_packages(image, context, scratch)
    # Not every builder accepts a tag with a digest. An archive has the tag, and its digest was verified.
    base = parse(image.base).tagged if base_archive else parse(image.base).exact
    try:
        if base_archive:
            _run(load_command(builder, base_archive))
        _run(
            [
                builder,
                "build",
                f"--platform={image.platform}",
                f"--build-arg=BASE={base}",
                f"--build-arg=REVISION={image.revision}",
                f"--tag={image.reference}",
                str(context),
            ]
        )
        _run(save_command(builder, image.reference, archive))
    finally:
        # Only the archives are kept. Otherwise the builder's store would grow forever.
        for reference in (image.reference, base) if base_archive else (image.reference,):
            subprocess.run([builder, "rmi", reference], capture_output=True, check=False)
    return archive


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)


def _install_packages(image: Image, context: Path, scratch: Path) -> None:
    """Install the requirements of a Python source into the context, for the Python of the image.

    Raises:
        BuildError: a requirement is not just a name, cannot be installed, or would run code.
    """
    python = re.search(r"(?:^|/)python:(\d+\.\d+)", image.base)
    named = image.source / "requirements.txt"
    if python is None or not named.is_file():
        return
    requirements = scratch / "requirements.txt"
    requirements.write_text("\n".join(read_requirements(named)))
    machine = _MACHINES[image.platform.rpartition("/")[2]]
    _run(
        pip_install(
            *("--progress-bar=off", "--disable-pip-version-check"),
            f"--requirement={requirements}",
            f"--target={context / _PACKAGES}",
            *("--implementation=cp", f"--python-version={python[1]}"),
            *(f"--platform={manylinux}_{machine}" for manylinux in _MANYLINUX),
        ),
        "pip install",
    )
    for origin in (context / _PACKAGES).glob("*.dist-info/direct_url.json"):
        wrong = f"{named} needs {origin.parent.stem} of {json.loads(origin.read_text())['url']}"
        raise BuildError(
            f"{wrong} (expected packages of an index) -> name a version without dependencies by URL"
        )


def _run(command: list[str], name: str = "") -> None:
    """Run one step; its default name is the beginning of its command.

    Raises:
        BuildError: it failed or took too long; with its last lines.
    """
    name = name or " ".join(command[:3])
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
        raise BuildError(f"{name} took longer than {_TIMEOUT} s") from error
    if done.returncode:
        said = "\n".join(done.stdout.splitlines()[-_LINES:])
        raise BuildError(f"{name} failed with exit code {done.returncode}:\n{said}")
