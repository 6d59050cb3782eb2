"""Updates an app or a stack, and takes that back if it becomes worse or is interrupted."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from . import volumes
from .check import current, told
from .cluster import UPDATED_FROM, Cluster, Requests
from .errors import UpdateError, WorseError
from .image_reference import parse
from .journal import log
from .kubectl import KubectlError
from .settings import App, Object, Settings
from .state import Progress, State

ACCEPTED = "accepted"
_STOP_SECONDS = 300
_START_SECONDS = 30
_UNREADY_SECONDS = 30
_MORE_FAILED = 0.05
_FAILED_AT_LEAST = 5


class Updates:
    """Updates apps."""

    def __init__(self, settings: Settings, cluster: Cluster, state: State) -> None:
        self._settings, self._cluster, self._state = settings, cluster, state
        self._progress = Progress(settings)

    def resume(self) -> None:
        """Finish an update that was accepted, or take back one that was interrupted.

        Raises:
            UpdateError: it cannot be taken back yet.
            KubectlError: the cluster does not answer.
        """
        if record := self._progress.read():
            if record["phase"] == ACCEPTED:
                self._finish(record)
            else:
                self._take_back(record, record.get("why", "it was interrupted"))

    def update(self, group: str) -> bool:
        """Update a group to the images that wait, and return whether it has them now.

        Raises:
            UpdateError: it was not tried, or cannot be taken back yet.
            CopyError: its volumes cannot be copied; nothing was changed.
            KubectlError: the cluster does not answer.
        """
        if self._progress.read():
            raise UpdateError("the update before this one is not taken back yet")
        images = self._state.waiting[group]["images"]
        apps = self._settings.groups()[group]
        directories = self._cluster.volumes(apps)
        volumes.check_room(directories)
        for app in apps:
            if app.name in images:
                self._cluster.pull(app, self._settings.prefix + images[app.name]["to"])
        record = self._begin(group, apps, images, directories)
        log(f"{group}: update to {_versions(record)} begins")
        try:
            self._forward(record, apps)
        except WorseError as error:
            record["skip"] = True
            self._take_back(record, str(error))
            return False
        except (UpdateError, volumes.CopyError, KubectlError, OSError) as error:
            self._take_back(record, str(error))
            return False
        self._finish(record)
        return True

    def _begin(self, group: str, apps: Iterable[App], images: Object, directories: Iterable[Path]) -> Object:
        """Record how everything is before the update."""
        volumes.remove(self._settings.copies)
        found = {}
        for app in apps:
            deployment = self._cluster.deployment(app)
            found[app.name] = {
                "entry": app.image,
                "to": images.get(app.name, {}).get("to", ""),
                "image": deployment["spec"]["template"]["spec"]["containers"][0]["image"],
                "replicas": deployment["spec"].get("replicas", 1),
                "updated_from": (deployment["metadata"].get("annotations") or {}).get(UPDATED_FROM),
            }
        record = {"name": group, "apps": found, "volumes": [str(each) for each in directories], "skip": False}
        record["began"] = time.time()
        self._progress.write(record, "preparing")
        return record

    def _forward(self, record: Object, apps: list[App]) -> None:
        """Do everything until the update can be accepted."""
        changed = [app for app in apps if record["apps"][app.name]["to"]]
        running = [app for app in apps if record["apps"][app.name]["replicas"]]
        before = self._cluster.requests(apps)
        for app in running:
            self._hooks(app, app.before, UpdateError, "before")
        record["stopped"] = time.time()
        if record["volumes"]:
            self._progress.write(record, "stopping")
            self._cluster.stop(apps, _patience(record, apps, _STOP_SECONDS))
            self._progress.write(record, "copying")
            for each in record["volumes"]:
                volumes.copy(Path(each), self._settings.copies)
        self._progress.write(record, "starting")
        for app in changed:
            to = self._settings.prefix + record["apps"][app.name]["to"]
            self._cluster.set_image(app, to, app.installed)
        self._start(record, apps)
        self._cluster.wait_until_ready(running, _patience(record, running, _START_SECONDS))
        for app in running:
            self._hooks(app, app.after, WorseError, "after")
        self._progress.write(record, "watching")
        self._watch(running, before)

    def _start(self, record: Object, apps: Iterable[App]) -> None:
        for app in apps:
            self._cluster.start(app, record["apps"][app.name]["replicas"])

    def _hooks(
        self, app: App, commands: Iterable[list[str]], kind: Callable[[str], Exception], when: str
    ) -> None:
        for command in commands:
            try:
                self._cluster.run(app, command)
            except KubectlError as error:
                wrong = f"the command {when} an update failed in the app {app.name}"
                raise kind(f"{wrong} -> correct its update.{when}: {error}") from None

    def _watch(self, apps: list[App], before: Requests) -> None:
        """Watch apps for a while.

        Raises:
            WorseError: one is not ready for too long or restarts, or more requests than before fail.
        """
        restarts, begun = self._cluster.restarts(apps), self._cluster.requests(apps)
        end = time.monotonic() + self._settings.watch_seconds
        ready = time.monotonic()
        while time.monotonic() < end:
            time.sleep(self._cluster.poll_seconds)
            for container, count in self._cluster.restarts(apps).items():
                if count > restarts.get(container, 0):
                    raise WorseError("a container restarted after it had been ready")
            if not (unready := self._cluster.unready(apps)):
                ready = time.monotonic()
            elif time.monotonic() - ready > min(_UNREADY_SECONDS, self._settings.watch_seconds / 2):
                raise WorseError(f"no longer ready: {'; '.join(unready)}")
            _compare(before, begun, self._cluster.requests(apps))

    def _finish(self, record: Object) -> None:
        """Keep the new images."""
        self._progress.write(record, ACCEPTED)
        records = current(self._settings, self._cluster.records())
        for name, about in record["apps"].items():
            if about["to"]:
                records[name] = {"from": about["entry"], "to": about["to"], "at": time.time()}
        self._state.waiting.pop(record["name"], None)
        self._state.taken_back.pop(record["name"], None)
        self._state.write()
        self._cluster.write_records(records, told(self._state))
        volumes.remove(self._settings.copies)
        self._progress.end()
        log(f"{record['name']}: updated to {_versions(record)}")

    def _take_back(self, record: Object, why: str) -> None:
        """Bring back the former images and data; a repetition after an interruption continues."""
        record["why"] = why
        self._progress.write(record, "taking back")
        apps = [app for app in self._settings.apps if app.name in record["apps"]]
        log(f"{record['name']}: update to {_versions(record)} is taken back: {why}")
        if record["volumes"] and "stopped" in record:
            self._cluster.stop(apps, _patience(record, apps, _STOP_SECONDS))
            record["lost_seconds"] = record.get("lost_seconds", time.time() - record["stopped"])
            self._progress.write(record, "taking back")
            for each in record["volumes"]:
                volumes.bring_back(Path(each), self._settings.copies)
        for app in apps:
            about = record["apps"][app.name]
            if about["to"]:
                self._cluster.set_image(app, about["image"], about["updated_from"])
        self._start(record, apps)
        running = [app for app in apps if record["apps"][app.name]["replicas"]]
        try:
            self._cluster.wait_until_ready(running, _patience(record, running, _START_SECONDS))
        except WorseError as error:
            # Images and data are the former ones, so it was not the update.
            log(f"{record['name']}: {error}, although its former images and data are back")
        self._tell(record, why)
        volumes.remove(self._settings.copies)
        self._progress.end()

    def _tell(self, record: Object, why: str) -> None:
        """Record that an update was taken back, and skip its version if that was the reason."""
        lost = float(record.get("lost_seconds", 0))
        message = f"the update to {_versions(record)} was taken back: {why}"
        if lost:
            message += f"; what it had written for {_duration(lost)} is lost"
        if record["skip"]:
            for about in record["apps"].values():
                if about["to"]:
                    to = parse(about["to"])
                    tags = self._state.skipped.setdefault(to.name, [])
                    tags += [] if to.tag in tags else [to.tag]
            self._state.waiting.pop(record["name"], None)
            message += "; this version is skipped"
        self._state.taken_back[record["name"]] = {
            "entries": {name: about["entry"] for name, about in record["apps"].items()},
            "version": _versions(record),
            "at": time.time(),
            "lost_seconds": round(lost),
            "message": message,
        }
        self._state.write()
        self._cluster.write_records(current(self._settings, self._cluster.records()), told(self._state))
        log(f"{record['name']}: {message}")


def _compare(before: Requests, begun: Requests, now: Requests) -> None:
    """Compare the share of requests that failed before the update with that since.

    Raises:
        WorseError: it is larger by some percent of the requests.
    """
    # A new Traefik begins to count at 0.
    failed, requests = (
        end - start if end >= start else end for start, end in zip(begun[::-1], now[::-1], strict=True)
    )
    share = before.failed / before.all if before.all else 0.0
    if failed >= _FAILED_AT_LEAST and failed / requests > share + _MORE_FAILED:
        raise WorseError(
            f"{failed:.0f} of {requests:.0f} requests failed (5xx), {share:.1%} of those before the update"
        )


def _patience(record: Object, apps: Iterable[App], more: float) -> float:
    """Return the seconds that apps may take to start or stop, with some more for Kubernetes.

    The pods of an app without volumes do so one after the other.
    """
    return more + max((app.start_seconds * record["apps"][app.name]["replicas"] for app in apps), default=0)


def _versions(record: Any) -> str:
    """Return the tags of an update."""
    return ", ".join(
        dict.fromkeys(parse(about["to"]).tag for about in record["apps"].values() if about["to"])
    )


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
