"""The settings of a machine's backups."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

Object = dict[str, Any]
TAG = "homeserver"


class Repository(NamedTuple):
    """A location that restic writes to."""

    name: str
    location: str
    environment: dict[str, str]
    parent: str
    """The location with the repositories of all machines, or of this one if there is no other."""

    @property
    def own(self) -> bool:
        """Whether no other machine of the home knows its password."""
        return self.location != self.parent


def directory_of(repository: Repository) -> str:
    """Return the directory that contains a repository, or an empty text if it is not local."""
    location = repository.parent.removeprefix("local:")
    return location if location.startswith("/") else ""


class Settings:
    """The content of backup.json."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.host = str(values["host"])
        self.founder = bool(values["founder"])
        self.password = str(values["password"])
        self.keep: dict[str, int] = values["keep"]
        self.prunes = bool(values["prunes"])
        self.left_out: list[str] = values["left_out"]
        self.prometheus: list[str] = values["prometheus"]
        self.snapshot_job = str(values["snapshot_job"])
        self.directory = Path(values["directory"])
        self.volumes = Path(values["volumes"])
        self.metrics = Path(values["metrics"])
        self.control = Path(values["control"])
        self.kubectl: list[str] = values["kubectl"]
        self.repositories = [
            Repository(
                each["name"],
                each["location"],
                each.get("environment") or {},
                each.get("parent", each["location"]),
            )
            for each in values["repositories"]
        ]

    @property
    def staged(self) -> Path:
        """The directory of consistent copies while a save runs."""
        return self.directory / "volumes"

    @property
    def expected(self) -> Path:
        """The file that lists the expected contents of a copy."""
        return self.directory / "expected.json"

    @property
    def paths(self) -> list[str]:
        """The paths that are saved."""
        return [str(path) for path in (self.directory, self.volumes) if path.is_dir()]
