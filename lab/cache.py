"""The build cache of the lab: every part is stored under a hash of all its inputs.

An entry gets its name by a rename when it is complete, and has a manifest of checksums. Using an entry means
reading all of it anyway, so it is verified each time, at about a gigabyte per second.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lab.host import LabError

MANIFEST = ".manifest.json"
LOG_LINES_SHOWN = 20
DAY = 24 * 60 * 60
IGNORED = {"__pycache__", ".gitkeep"}


@dataclass(frozen=True)
class Job:
    """The build of one part.

    Attributes:
        out: The empty output directory of the part.
        needs: The paths of the parts that this one depends on, by name.
        scratch: A directory shared by all parts for downloads and compiler caches, deleted after the build.
        log: The file with the output of all programs.
    """

    out: Path
    needs: Mapping[str, Path]
    scratch: Path
    log: Path

    def find(self, source: str) -> Path:
        """Return the path of a file that another part built; `source` is `<part>/<path>`."""
        part, _, path = source.partition("/")
        return self.needs[part] / path

    def run(
        self, *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        """Run a program and wait for it, with `env` added to this process's environment.

        Raises:
            LabError: The program failed; the message contains its last lines.
        """
        with self.log.open("ab") as log:
            log.write(f"+ {' '.join(map(str, command))}\n".encode())
            log.flush()
            try:
                done = subprocess.run(
                    command,
                    cwd=cwd,
                    env={**os.environ, **(env or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
            except FileNotFoundError:
                raise LabError(f"{command[0]} is not installed") from None
        if done.returncode:
            last = self.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
            raise LabError(
                f"{command[0]} ended with {done.returncode}; the whole log is {self.log}:\n  "
                + "\n  ".join(last)
            )


@dataclass(frozen=True, eq=False)
class Part:
    """A part that is built once and cached.

    Attributes:
        name: Its unique name.
        recipe: Fills a job's `out`; called with the job and `settings`. Its source file is hashed too.
        settings: The arguments of the recipe, above all versions.
        files: Files and directories whose content is part of the hash.
        needs: Parts that this one depends on.
        gigabytes: Approximate peak disk usage of the build.
    """

    name: str
    recipe: Callable[..., None]
    settings: Mapping[str, object] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    needs: tuple[Part, ...] = ()
    gigabytes: float = 0.5

    @cached_property
    def key(self) -> str:
        """Return the hash of all inputs of this part."""
        source = inspect.getsourcefile(self.recipe)
        assert source  # noqa: S101 - a recipe is a function in a file
        ingredients = {
            "name": self.name,
            "recipe": [self.recipe.__name__, _code(Path(source))],
            "settings": dict(self.settings),
            "files": [hash_tree(path) for path in self.files],
            "needs": [need.key for need in self.needs],
        }
        return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def entry(self) -> str:
        """Return the name of this part's directory in a cache."""
        return f"{self.name}-{self.key}"


def with_needs(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield the parts and all their dependencies once each, dependencies first."""
    seen: set[Part] = set()

    def visit(part: Part) -> Iterator[Part]:
        if part not in seen:
            seen.add(part)
            for need in part.needs:
                yield from visit(need)
            yield part

    for part in parts:
        yield from visit(part)


class Cache:
    """A directory of entries, one per part and key.

    Only one process at a time may change it: see `lab.build`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.scratch = root / "scratch"
        self.logs = root / "logs"

    def path(self, part: Part) -> Path:
        """Return the path of the part after it is built."""
        return self.root / part.entry

    def holds(self, part: Part) -> bool:
        """Return whether the part is cached and intact. Marks it as used."""
        manifest = self.path(part) / MANIFEST
        try:
            expected = json.loads(manifest.read_bytes())
        except (OSError, ValueError):
            return False
        if describe(manifest.parent) != expected:
            return False
        os.utime(manifest)
        return True

    def make(self, part: Part) -> Path:
        """Build the part from its needs, which must be cached, and add it to the cache.

        Raises:
            LabError: The recipe failed. Only its log is kept.
        """
        for directory in (self.scratch, self.logs):
            directory.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{part.name}.log"
        log.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=self.root, prefix=f".{part.name}-") as temporary:
            out = Path(temporary) / "out"
            out.mkdir()
            needs = {need.name: self.path(need) for need in part.needs}
            part.recipe(Job(out, needs, self.scratch, log), **part.settings)
            (out / MANIFEST).write_text(json.dumps(describe(out)))
            final = self.path(part)
            if final.exists():
                shutil.rmtree(final)
            out.rename(final)
        return final

    def discard_scratch(self) -> None:
        """Delete the scratch, for which nobody waits: it has hundreds of thousands of files."""
        aside = Path(tempfile.mkdtemp(dir=self.root, prefix=".scratch-"))
        self.scratch.rename(aside / self.scratch.name)
        # Otherwise, a reader of the build's output would also wait for the end of this process.
        command = ["setsid", "--fork", "nice", "rm", "--recursive", "--force", str(aside)]
        quiet = subprocess.DEVNULL
        subprocess.run(command, stdin=quiet, stdout=quiet, stderr=quiet, check=True)

    def clear_interrupted(self) -> None:
        """Remove the files of an interrupted build."""
        for leftover in self.root.glob(".*-*"):
            shutil.rmtree(leftover, ignore_errors=True)  # the scratch may be on its way

    def prune(self, wanted: Iterable[Part], unused_for: float = DAY) -> list[str]:
        """Remove the entries that no wanted part names and that were not used for this many seconds.

        The delay protects machines that use an older bundle, and other checkouts of this project.

        Returns:
            The names of the removed entries.
        """
        current = {part.entry for part in with_needs(wanted)}
        removed = []
        for manifest in self.root.glob(f"*/{MANIFEST}"):
            entry = manifest.parent
            if entry.name not in current and time.time() - manifest.stat().st_mtime > unused_for:
                shutil.rmtree(entry)
                removed.append(entry.name)
        return removed


def _code(source: Path) -> str:
    """Return a source without its comments, so that rewording one does not cause a rebuild.

    The text is the one of Python 3.11, so a machine with a newer Python finds the same entries.
    """
    tree = ast.parse(source.read_text())
    if sys.version_info >= (3, 13):
        text = ast.dump(tree, show_empty=True)
    else:
        text = ast.dump(tree)
    return text.replace(", type_params=[]", "")


def describe(directory: Path) -> dict[str, str]:
    """Return the content of a manifest: each file's checksum and each link's target, by relative path."""
    return {
        path.relative_to(directory).as_posix(): f"-> {path.readlink()}" if path.is_symlink() else sha256(path)
        for path in sorted(directory.rglob("*"))
        if path.name != MANIFEST and (path.is_symlink() or path.is_file())
    }


def hash_tree(path: Path) -> str:
    """Return a hash of a file or directory tree: names, contents, and executable bits."""
    if path.is_file():
        return sha256(path)
    digest = hashlib.sha256()
    for name, content in describe(path).items():
        if not IGNORED.intersection(Path(name).parts):
            executable = os.access(path / name, os.X_OK)
            digest.update(f"{name}\0{content}\0{executable}\n".encode())
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """Return a file's checksum in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
