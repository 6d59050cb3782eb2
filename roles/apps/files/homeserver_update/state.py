"""Keeps what waits, what was taken back, and the progress of an update."""

import contextlib
import fcntl
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .atomic import write_atomic
from .errors import UpdateError
from .settings import Object, Settings

HELD_SECONDS = 3600
"""How long a run of site.yml may keep updates from starting, in case it ended without a word."""


class State:
    """The results of earlier runs, in state.json and as metrics."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.directory / "state.json"
        self._metrics = settings.metrics / "homeserver_update.prom"
        found = _read(self._file)
        self.checked: float = found.get("checked", 0)
        self.waiting: dict[str, Object] = found.get("waiting", {})
        """By group, which images could be updated, or why not."""
        self.taken_back: dict[str, Object] = found.get("taken_back", {})
        """By group, the last update that was taken back, as long as it is skipped."""
        self.skipped: dict[str, list[str]] = found.get("skipped", {})
        """By name of an image without a tag, the tags that are skipped."""

    def write(self) -> None:
        """Write the state and the metrics atomically."""
        about = {name: getattr(self, name) for name in ("checked", "waiting", "taken_back", "skipped")}
        write_atomic(self._file, json.dumps(about, indent=1), 0o600)
        if self._metrics.parent.is_dir():
            write_atomic(self._metrics, "".join(self._lines()), 0o644)

    def _lines(self) -> Iterator[str]:
        prefix = "homeserver_update_"
        yield f"# HELP {prefix}last_check_timestamp_seconds When registries were last asked.\n"
        yield f"# TYPE {prefix}last_check_timestamp_seconds gauge\n"
        yield f"{prefix}last_check_timestamp_seconds {self.checked}\n"
        yield f"# HELP {prefix}waiting Whether a newer version of an app waits.\n"
        yield f"# TYPE {prefix}waiting gauge\n"
        for group in self.waiting:
            yield f'{prefix}waiting{{app="{group}"}} 1\n'
        for name, key, meaning in (
            ("taken_back_timestamp_seconds", "at", "When the last update of an app was taken back."),
            ("lost_seconds", "lost_seconds", "For how long the app had written data that are lost."),
        ):
            yield f"# HELP {prefix}{name} {meaning}\n# TYPE {prefix}{name} gauge\n"
            for group, about in self.taken_back.items():
                yield f'{prefix}{name}{{app="{group}",version="{about["version"]}"}} {about[key]}\n'


class Progress:
    """The phase of the update that runs, on the disk."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.directory / "running.json"

    def read(self) -> Object | None:
        """Return the update that runs, or that was interrupted; None if there is none."""
        return _read(self._file) or None

    def write(self, record: Object, phase: str) -> None:
        """Record that an update is in a phase from now on."""
        record["phase"] = phase
        write_atomic(self._file, json.dumps(record, indent=1), 0o600)

    def end(self) -> None:
        """Record that no update runs any more."""
        self._file.unlink(missing_ok=True)


@contextlib.contextmanager
def exclusive_lock(settings: Settings) -> Iterator[None]:
    """Let only one process of this program work.

    Raises:
        UpdateError: another one works.
    """
    settings.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.directory / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            about = Progress(settings).read()
            what = (
                f"{about['name']} is being updated ({about['phase']})"
                if about
                else "updates are being checked"
            )
            raise UpdateError(f"{what} -> try again later: journalctl -u 'homeserver-update*'") from None
        yield


def hold(settings: Settings) -> None:
    """Keep updates from starting while site.yml changes the apps.

    Raises:
        UpdateError: an update is not finished.
    """
    if about := Progress(settings).read():
        raise UpdateError(
            f"an update of {about['name']} was interrupted ({about['phase']})"
            " -> take it back first: systemctl start homeserver-update-resume"
        )
    write_atomic(settings.directory / "held.json", json.dumps({"until": time.time() + HELD_SECONDS}), 0o600)


def release(settings: Settings) -> None:
    """Let updates start again."""
    (settings.directory / "held.json").unlink(missing_ok=True)


def check_not_held(settings: Settings) -> None:
    """Check that site.yml does not change the apps.

    Raises:
        UpdateError: it does.
    """
    if (until := _read(settings.directory / "held.json").get("until", 0)) > time.time():
        at = time.strftime("%H:%M", time.localtime(until))
        raise UpdateError(
            f"a playbook changes the apps -> try again when it is done, or after {at} if it was ended"
        )


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
