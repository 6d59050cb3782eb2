"""Lists the backups of a home in a restic repository, and restores files from them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

TAG = "homeserver"
_SHOWN = 5
"""Maximum number of backups, or lines of an error, in a message."""
_NO_REPOSITORY = ("Is there a repository at the following location?", "unable to open config file")
_DAMAGE = ("ciphertext verification failed", "unexpected EOF", "invalid data returned", "does not match")

ARGUMENTS: dict[str, dict[str, Any]] = {
    "location": {"required": True},
    "password": {"required": True, "no_log": True},
    "environment": {"type": "dict", "default": {}, "no_log": True},
}
"""The arguments of every module that reads a repository."""


class ResticError(Exception):
    """The repository cannot be read; the message says why and what to do."""


class NotFoundError(ResticError):
    """There is no repository."""


@dataclass(frozen=True)
class Save:
    """One backup of one machine."""

    id: str
    host: str
    time: str
    """The time on the machine's clock, with its offset from UTC."""

    @property
    def seconds(self) -> float:
        """When it was made, in seconds since 1970."""
        return datetime.fromisoformat(re.sub(r"\.\d+", "", self.time).replace("Z", "+00:00")).timestamp()

    def __str__(self) -> str:
        return f"{self.host} {self.time[:16].replace('T', ' ')}"


@dataclass(frozen=True)
class Repository:
    """A repository of backups. Reads write nothing, not even a lock: it may be a read-only disk."""

    location: str
    password: str = field(repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def saves(self) -> list[Save]:
        """Return the backups of all machines, oldest first.

        Raises:
            NotFoundError: there is no repository.
            ResticError: it cannot be read.
        """
        found = json.loads(self._run("snapshots", "--json", "--tag", TAG) or "null") or []
        saves = [Save(each["id"], each["hostname"], each["time"]) for each in found]
        return sorted(saves, key=lambda save: save.seconds)

    def names(self, save: Save, directory: str) -> set[str]:
        """Return the names in a saved directory; none if it was not saved."""
        lines = map(json.loads, self._run("ls", "--json", save.id, directory).splitlines())
        return {each["name"] for each in lines if Path(each.get("path", "/")).parent == Path(directory)}

    def read(self, save: Save, path: str) -> str:
        """Return a file as text.

        Raises:
            ResticError: it was not saved, or cannot be read.
        """
        return self._run("dump", save.id, path)

    def archive(self, save: Save, directory: str, to: IO[bytes]) -> None:
        """Write a directory as a tar archive.

        Raises:
            ResticError: it was not saved, or cannot be read.
        """
        self._run("dump", "--archive", "tar", save.id, directory, to=to)

    def restore(self, save: Save, paths: Iterable[str], to: Path) -> None:
        """Write directories with their content below another directory, under their full paths.

        Raises:
            ResticError: not everything was written.
        """
        included = [part for path in paths for part in ("--include", path)]
        self._run("restore", save.id, "--target", str(to), *included)

    def forget(self, host: str, keep: Mapping[str, int], *, dry: bool = False) -> tuple[int, int]:
        """Delete expired backups of a machine, and return how many were kept and deleted.

        Args:
            host: the machine.
            keep: the number of backups to keep for each period, such as `daily`.
            dry: whether only to count.

        Raises:
            ResticError: the repository cannot be written.
        """
        # Removes only the locks of programs that have exited.
        if not dry:
            self._run("unlock")
        kept = [f"--keep-{period}={number}" for period, number in keep.items() if number]
        chosen = ("--json", "--host", host, "--tag", TAG, "--group-by", "host,tags", *kept)
        printed = self._run("forget", *chosen, *(("--dry-run",) if dry else ()), locks=not dry)
        groups = json.loads(printed or "null") or []
        counts = [sum(len(group.get(key) or []) for group in groups) for key in ("keep", "remove")]
        if counts[1] and not dry:
            self._run("prune", locks=True)
        return counts[0], counts[1]

    def _run(self, command: str, *arguments: str, to: IO[bytes] | None = None, locks: bool = False) -> str:
        if not shutil.which("restic"):
            raise ResticError("there is no restic on this machine -> sudo apt-get install restic")
        secret = {"RESTIC_PASSWORD": self.password, "RESTIC_REPOSITORY": self.location}
        environment = {**os.environ, **{k: str(v) for k, v in self.environment.items()}, **secret}
        # Every user can read the arguments, so they contain neither the password nor the location.
        done = subprocess.run(
            ["restic", *(() if locks else ("--no-lock",)), "--quiet", command, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=to or subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            raise self._explained(done.stderr.decode(errors="replace"))
        return (done.stdout or b"").decode()

    def _explained(self, error: str) -> ResticError:
        absent = any(sign in error for sign in _NO_REPOSITORY)
        return (NotFoundError if absent else ResticError)(self._explain(error))

    def _explain(self, error: str) -> str:
        place = re.sub(r"//[^/@]*@", "//", self.location)  # without the password of a REST server
        said = "\n".join(line.replace(self.location, place) for line in error.strip().splitlines()[:_SHOWN])
        if "wrong password" in error:
            return f"the password does not open the repository {place} -> give the one that you kept"
        if any(sign in error for sign in _NO_REPOSITORY):
            return (
                f"there is no repository at {place} -> check restore_location, whether the disk is mounted, "
                f"and whether this machine may read it; restic said: {said}"
            )
        if "already locked" in error:
            return f"the repository {place} is in use -> try again when no machine is being saved: {said}"
        if any(sign in error for sign in _DAMAGE):
            return (
                f"the repository {place} is damaged -> restore from another repository, or an older save "
                f"with -e at=<date>; restic check shows what is broken. restic said: {said}"
            )
        return f"the repository {place} cannot be read; restic said: {said}"


def chosen(saves: Iterable[Save], host: str, at: str = "") -> Save | None:
    """Return a machine's newest backup, or the newest before the end of a day, an hour or a minute."""
    until = at.replace(" ", "T")
    fitting = [s for s in saves if s.host == host and (not until or s.time[: len(until)] <= until)]
    return fitting[-1] if fitting else None


def missing(saves: Iterable[Save], host: str, at: str, location: str) -> str:
    """Return the message that a machine has no such backup, with the existing backups."""
    there = list(saves)
    mine = [save for save in there if save.host == host]
    if mine:
        return f"at={at}: {host} has no save that old -> the oldest is of {mine[0].time[:16]}"
    if not there:
        return f"the repository {location} has no save of a home -> choose another repository"
    names = sorted({save.host for save in there})
    return (
        f"the repository {location} has no save of {host}, only of {', '.join(names)} "
        f"-> give the machine in the inventory the name that it had, such as {names[0]}"
    )
