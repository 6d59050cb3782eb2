"""Container images built on the control machine, named after what they are made of."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

_BUILDERS = ("podman", "docker", "buildah")
_LITTER = (".git", ".venv", ".*_cache", ".coverage*", "__pycache__", "*.pyc", "*.egg-info")
"""What is in a source directory by accident; it is neither built from nor part of the hash."""

_PACKAGES = Path("build", "site-packages")
"""Where in its context a build finds the packages of a Python source."""

_ALWAYS = ("Dockerfile", ".dockerignore", "requirements.txt")
"""What decides on an image even where .dockerignore keeps it out of the image itself."""

_WILDCARDS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
"""Those of .dockerignore, as regular expressions."""

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_MANYLINUX = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")
_SCRATCH = ".build-"
_TIMEOUT = 1800
"""Seconds one step of a build may take."""
_LINES = 20
"""So many of the last lines a failed step wrote are told."""


class BuildError(Exception):
    """An image cannot be built; the message says why and what would help."""


@dataclass(frozen=True)
class Image:
    """An image to build.

    Attributes:
        name: its name without a tag.
        source: directory with a Dockerfile.
        base: reference of the image the Dockerfile is given as BASE.
        platform: operating system and architecture, such as linux/amd64.
    """

    name: str
    source: Path
    base: str
    platform: str

    @property
    def revision(self) -> str:
        """A hash of everything the image is made of: the source's files, the base image and the platform."""
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
        """Return the files that count, in a fixed order.

        Raises:
            BuildError: there is no Dockerfile among them.
        """
        if not (self.source / "Dockerfile").is_file():
            raise BuildError(f"there is no Dockerfile in {self.source}")
        ignores = _ignore_rules(self.source / ".dockerignore")
        for path in sorted(self.source.rglob("*")):
            inner = path.relative_to(self.source)
            if path.is_file() and (str(inner) in _ALWAYS or not _is_ignored(inner, ignores)):
                yield path


def _ignore_rules(file: Path) -> list[tuple[re.Pattern[str], bool]]:
    """Read a .dockerignore: what each line matches, and whether that is ignored or taken back in."""
    lines = file.read_text().splitlines() if file.exists() else []
    rules = []
    for line in filter(None, (line.partition("#")[0].strip() for line in lines)):
        words = re.split(r"(\*\*/|\*\*|\*|\?)", line.lstrip("!").strip("/"))
        pattern = "".join(_WILDCARDS.get(word, re.escape(word)) for word in words)
        rules.append((re.compile(pattern), not line.startswith("!")))
    return rules


def _is_ignored(inner: Path, rules: list[tuple[re.Pattern[str], bool]]) -> bool:
    """Tell whether a file, or a directory it is in, counts for nothing; of the rules the last one holds."""
    litter = any(fnmatch(part, pattern) for part in inner.parts for pattern in _LITTER)
    if litter or inner.is_relative_to(_PACKAGES):
        return True
    paths = [str(path) for path in (inner, *inner.parents)]
    matching = (ignores for pattern, ignores in rules if any(map(pattern.fullmatch, paths)))
    return next(reversed([*matching]), False)


def archive_path(image: Image, directory: Path) -> Path:
    """Return where the archive of an image belongs."""
    return directory / f"{_file_name(image.name)}-{image.revision}.tar"


def build(image: Image, archive: Path, base_archive: Path | None) -> None:
    """Build an image and save it as an archive; archives of earlier revisions are removed.

    Whoever else builds into the same directory is waited for, and an archive that is there then not built.

    Args:
        image: what to build.
        archive: where to save it.
        base_archive: an archive of the base image, None to pull it.

    Raises:
        BuildError: there is no builder, or a step failed.
    """
    builder = find_builder()
    with _alone(archive.parent):
        if archive.exists():
            return
        for left in archive.parent.glob(f"{_SCRATCH}*"):  # by a build that was killed
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=archive.parent, prefix=_SCRATCH) as scratch:
            partial = _build(builder, image, base_archive, Path(scratch))
            partial.replace(archive)
        for earlier in archive.parent.glob(f"{_file_name(image.name)}-{'?' * 12}.tar"):
            if earlier != archive:
                earlier.unlink()


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold a directory's lock, which ends with its holder."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _build(builder: str, image: Image, base_archive: Path | None, scratch: Path) -> Path:
    """Build an image with what is written meanwhile in a directory, and give its archive there."""
    context, archive = scratch / "context", scratch / "image.tar"
    for path in image.files():
        target = context / path.relative_to(image.source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    _fetch_packages(image, context)
    try:
        if base_archive:
            _run(_load_command(builder, base_archive))
        _run(
            [
                *_build_command(builder),
                f"--platform={image.platform}",
                f"--build-arg=BASE={image.base}",
                f"--build-arg=REVISION={image.revision}",
                f"--tag={image.reference}",
                str(context),
            ]
        )
        _run(_save_command(builder, image.reference, archive))
    finally:
        # The archives are what is kept; the builder's own store would only grow.
        for reference in (image.reference, image.base) if base_archive else (image.reference,):
            subprocess.run([builder, "rmi", reference], capture_output=True, check=False)
    return archive


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)


def find_builder() -> str:
    """Return the first program that can build an image here.

    Raises:
        BuildError: There is none.
    """
    for name in _BUILDERS:
        if shutil.which(name) and (name != "docker" or _docker_runs()):
            return name
    raise BuildError(
        f"none of {', '.join(_BUILDERS)} can build an image on this machine -> install one of them, "
        "as in: apt install buildah"
    )


def _docker_runs() -> bool:
    """Tell whether docker's daemon answers; its command may well be there without one."""
    try:
        answer = subprocess.run(["docker", "version"], capture_output=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return False
    return answer.returncode == 0


def _build_command(builder: str) -> list[str]:
    # No step of a build needs isolation from the machine it is built on, and the others need more privileges.
    isolation = [] if builder == "docker" else ["--isolation=chroot"]
    return [builder, "build", *isolation]


def _load_command(builder: str, archive: Path) -> list[str]:
    if builder != "buildah":
        return [builder, "load", f"--input={archive}"]
    with tarfile.open(archive) as tar:
        form = "docker-archive" if "manifest.json" in tar.getnames() else "oci-archive"
    return [builder, "pull", "--quiet", f"{form}:{archive}"]


def _save_command(builder: str, reference: str, archive: Path) -> list[str]:
    if builder == "buildah":
        return [builder, "push", "--quiet", reference, f"docker-archive:{archive}:{reference}"]
    return [builder, "save", f"--output={archive}", reference]


def _fetch_packages(image: Image, context: Path) -> None:
    """Install what a Python source requires beside it, for the image's Python and not for this machine's."""
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
        BuildError: it failed or took too long; with what it said last.
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
        raise BuildError(f"{' '.join(command[:3])} was not done after {_TIMEOUT} s") from error
    if done.returncode:
        said = "\n".join(done.stdout.splitlines()[-_LINES:])
        raise BuildError(f"{' '.join(command[:3])} failed with exit code {done.returncode}:\n{said}")
