"""The settings of updates."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

Object = dict[str, Any]


class App(NamedTuple):
    """An app of the home."""

    name: str
    namespace: str
    group: str
    """Its stack, or its own name."""
    image: str
    """The image in its entry; empty for one that is built here."""
    installed: str
    """The same, as a run of site.yml installs it without an update."""
    policy: str
    before: list[list[str]]
    after: list[list[str]]
    needs: list[str]
    """The apps outside of its stack that it may connect to, unless its entry allows updates by itself."""
    jobs: list[str]
    """Its CronJobs."""
    claims: list[str]
    """Its claims of volumes, also those of other apps of its stack."""
    start_seconds: int
    """How long a pod may take to start, and the one before it to stop."""


class Settings:
    """The content of update.json."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.apps = [App(**each) for each in values["apps"]]
        self.minimum_age_days = int(values["minimum_age_days"])
        self.watch_seconds = 60 * float(values["watch_minutes"])
        self.prefix = str(values["prefix"])
        self.mirrors: dict[str, str] = values["mirrors"]
        self.directory = Path(values["directory"])
        self.volumes = Path(values["volumes"])
        self.metrics = Path(values["metrics"])
        self.kubectl: list[str] = values["kubectl"]

    @property
    def copies(self) -> Path:
        """The directory of the volumes' copies, on the same disk, so that both can be exchanged."""
        return self.volumes / ".homeserver-update"

    def groups(self) -> dict[str, list[App]]:
        """Return the apps that are updated together, by the name of their stack or their own."""
        found: dict[str, list[App]] = {}
        for app in self.apps:
            found.setdefault(app.group, []).append(app)
        return found
