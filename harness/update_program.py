"""The program of updates in this process, with real volumes, and a cluster that remembers what it is told."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from homeserver_update import cli, cluster, state, update, volumes
from homeserver_update.cluster import Cluster
from homeserver_update.kubectl import KubectlError
from homeserver_update.settings import Settings
from homeserver_update.state import Progress, State

Object = dict[str, Any]
OLD, NEW = "registry.example.org/wiki:1.0.0", f"registry.example.org/wiki:1.0.1@sha256:{'1' * 64}"
READ_ONLY = ("get",)


class KilledError(BaseException):
    """The machine loses its power here."""


class Power:
    """Cuts the power before an effect of a certain number, counted from 0."""

    def __init__(self) -> None:
        self.cut_before: int | None = None
        self.effects: list[str] = []

    def spend(self, effect: str) -> None:
        """Count an effect, or end before it."""
        if self.cut_before is not None and len(self.effects) == self.cut_before:
            raise KilledError(effect)
        self.effects.append(effect)


class Machine:
    """A founder with an app, whose volume has a file that a new version changes as it starts."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, *, with_volume: bool = True) -> None:
        self.root, self.power = root, Power()
        self.behaviour: Callable[[Machine], None] = Machine.becomes_ready
        self.failed_commands: set[str] = set()
        self.volume = root / "volumes/apps-wiki-data-pvc-1"
        self.volume.mkdir(parents=True)
        (self.volume / "page").write_text("old")
        (root / "metrics").mkdir()
        self.deployment: Object = {
            "metadata": {"name": "wiki", "generation": 1, "annotations": {}},
            "spec": {
                "replicas": 1,
                "template": {"spec": {"containers": [{"name": "wiki", "image": OLD}]}},
            },
        }
        self.job: Object = {"image": OLD, "suspend": False}
        self.config_map: Object = {}
        self.ready, self.restarts = True, 0
        self.requests = {"200": 100, "502": 1}
        self.uid = 1
        self._with_volume = with_volume
        self.settings = Settings(self.values())
        self._replace(monkeypatch)

    def values(self, **changed: Any) -> Object:
        """Return the content of update.json."""
        app = {
            "name": "wiki",
            "namespace": "apps",
            "group": "wiki",
            "image": OLD,
            "installed": OLD,
            "policy": "patch",
            "before": [["dump"]],
            "after": [["test"]],
            "needs": [],
            "jobs": ["wiki-clean"],
            "claims": ["wiki-data"] if self._with_volume else [],
            "start_seconds": 0,
        }
        directories = {name: str(self.root / name) for name in ("directory", "volumes", "metrics")}
        numbers = {"minimum_age_days": 0, "watch_minutes": 0.001}
        return {"apps": [app | changed], "prefix": "", "mirrors": {}, "kubectl": [], **numbers, **directories}

    def _replace(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cluster, "kubectl", self.kubectl)
        monkeypatch.setattr(update, "_START_SECONDS", 0.02)
        monkeypatch.setattr(update, "_STOP_SECONDS", 0.02)
        monkeypatch.setattr("homeserver_update.check._newest", lambda *_: "" if self._is_skipped() else NEW)
        effects: list[tuple[Any, str]] = [
            (state, "write_atomic"),
            (volumes, "_run"),
            (shutil, "rmtree"),
            (Path, "rename"),
            (Path, "unlink"),
        ]
        for module, name in effects:
            monkeypatch.setattr(module, name, self._counted(name, getattr(module, name)))

    def _counted(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.power.spend(f"{name} {arguments[0]}")
            if self.volume in arguments or (str(self.volume) in arguments[:-1] and arguments[0] == "cp"):
                assert not self.deployment["spec"]["replicas"], "an app uses its data while it is moved"
            if name == "_run" and arguments[0] == "cp":
                # The power may also fail in the middle of a copy.
                Path(arguments[-1]).mkdir()
                self.power.spend("the rest of cp")
                Path(arguments[-1]).rmdir()
            return act(*arguments, **named)

        return counted

    def _is_skipped(self) -> bool:
        return "1.0.1" in State(self.settings).skipped.get("registry.example.org/wiki", [])

    # ---- what the tests do

    def cluster(self) -> Cluster:
        """Return a client of the cluster that does not wait."""
        found = Cluster(self.settings)
        found.poll_seconds = 0.002
        return found

    def run(self, job: str = "run") -> bool:
        """Run a job, and return whether an app could not be updated."""
        self.settings.directory.mkdir(exist_ok=True)
        return cli.run(job, self.settings, self.cluster())

    def state(self) -> str:
        """Return which version the app has, in image, data, schedules and records alike."""
        assert Progress(self.settings).read() is None
        assert not self.settings.copies.exists()
        assert (self.deployment["spec"]["replicas"], self.ready, self.job["suspend"]) == (1, True, False)
        record = json.loads(self.config_map.get("wiki", "{}"))
        seen = (self.image, self.job["image"], record.get("to"), self.annotations, self.page)
        if seen == (OLD, OLD, None, {}, "old"):
            return "old"
        page = "new" if self._with_volume else "old"
        assert seen == (NEW, NEW, NEW, {"homeserver.stack/updated-from": OLD}, page), seen
        return "new"

    @property
    def image(self) -> str:
        """The image of the Deployment."""
        return str(self.deployment["spec"]["template"]["spec"]["containers"][0]["image"])

    @property
    def annotations(self) -> Object:
        """The annotations of the Deployment."""
        found: Object = self.deployment["metadata"]["annotations"]
        return found

    @property
    def page(self) -> str:
        """The data of the app."""
        return (self.volume / "page").read_text()

    # ---- how the new version behaves

    def becomes_ready(self) -> None:
        """Migrate the data and work."""
        self.ready = True

    def never_becomes_ready(self) -> None:
        """Migrate the data and fail."""
        self.ready = False

    def restarts_later(self) -> None:
        """Work at first."""
        self.ready, self.restarts = True, 1

    def answers_with_errors(self) -> None:
        """Be ready, but fail most requests."""
        self.ready = True
        self.requests["500"] = self.requests.get("500", 0) + 50

    # ---- the cluster

    def kubectl(self, command: Sequence[str], *arguments: str, seconds: int = 0) -> str:  # noqa: ARG002
        """Do what kubectl would."""
        words = [each for each in arguments if not each.startswith(("--namespace", "--output"))]
        if words[0] not in READ_ONLY:
            self.power.spend(f"kubectl {' '.join(words)}")
        return str(getattr(self, f"_{words[0]}")(words[1:]) or "")

    def _get(self, words: list[str]) -> str:
        if words[0] == "--raw":
            self._serve()
            label = "apps-wiki-http@kubernetescrd"
            return "\n".join(
                f'traefik_service_requests_total{{code="{code}",method="GET",service="{label}"}} {count}'
                for code, count in self.requests.items()
            )
        found: dict[str, Callable[[], Any]] = {
            "deployment/wiki": lambda: self.deployment | {"status": self._status()},
            "deployments": lambda: {"items": [self.deployment | {"status": self._status()}]},
            "pods": lambda: {"items": self._pods(words)},
            "persistentvolumes": lambda: {"items": [self._volume()]},
            "configmap/homeserver-updates": lambda: {"data": self.config_map},
            "pod/wiki-pull": lambda: {"status": {"containerStatuses": [{"state": {"terminated": {}}}]}},
        }
        return json.dumps(found[words[0]]())

    def _serve(self) -> None:
        """Let a new version that fails do so."""
        if self.image == NEW and self.behaviour is not Machine.becomes_ready and self.ready:
            self.behaviour(self)

    def _status(self) -> Object:
        replicas = self.deployment["spec"]["replicas"]
        counts = dict.fromkeys(("replicas", "updatedReplicas"), replicas)
        ready = replicas if self.ready else 0
        return {
            **counts,
            "readyReplicas": ready,
            "observedGeneration": self.deployment["metadata"]["generation"],
        }

    def _pods(self, words: list[str]) -> list[Object]:
        if any("traefik" in each for each in words):
            ports = [{"name": "metrics", "containerPort": 8082}]
            return [
                {"metadata": {"name": "traefik-1"}, "spec": {"containers": [{"ports": ports}]}}
                | {"status": {"phase": "Running"}}
            ]
        if not self.deployment["spec"]["replicas"]:
            return []
        labels = {"app.kubernetes.io/name": "wiki"}
        claim = {"persistentVolumeClaim": {"claimName": "wiki-data"}}
        status = {"name": "wiki", "restartCount": self.restarts, "ready": self.ready}
        return [
            {
                "metadata": {"name": "wiki-1", "uid": str(self.uid), "labels": labels},
                "spec": {"nodeName": "home", "volumes": [claim] if self._with_volume else []},
                "status": {"phase": "Running", "containerStatuses": [status]},
            }
        ]

    def _volume(self) -> Object:
        claim = {"namespace": "apps", "name": "wiki-data"}
        spec = {"claimRef": claim, "hostPath": {"path": str(self.volume)}}
        return {"metadata": {"name": "pvc-1"}, "spec": spec, "status": {"phase": "Bound"}}

    def _begin(self) -> None:
        """Start a pod with the present image, which must find its data."""
        assert self.volume.is_dir(), "a pod starts without its data"
        self.uid += 1
        self.ready, self.restarts = True, 0
        if self.image == NEW:
            if self._with_volume:
                (self.volume / "page").write_text("new")
            if self.behaviour is Machine.never_becomes_ready:
                self.ready = False
        else:
            assert self.page == "old", "the old version starts with new data"

    def _scale(self, words: list[str]) -> None:
        before, wanted = self.deployment["spec"]["replicas"], int(words[1].removeprefix("--replicas="))
        self.deployment["spec"]["replicas"] = wanted
        if wanted and not before:
            self._begin()

    def _set(self, words: list[str]) -> None:
        image = words[2].removeprefix("*=")
        if words[1].startswith("cronjob"):
            self.job["image"] = image
        elif image != self.image:
            self.deployment["spec"]["template"]["spec"]["containers"][0]["image"] = image
            if self.deployment["spec"]["replicas"]:
                self._begin()

    def _patch(self, words: list[str]) -> None:
        self.job["suspend"] = json.loads(words[1].removeprefix("--patch="))["spec"]["suspend"]

    def _annotate(self, words: list[str]) -> None:
        key, separator, value = words[2].partition("=")
        if separator:
            self.annotations[key] = value
        else:
            self.annotations.pop(key.removesuffix("-"), None)

    def _exec(self, words: list[str]) -> None:
        if words[-1] in self.failed_commands:
            raise KubectlError(f"{words[-1]} ends with 1")

    def _apply(self, words: list[str]) -> None:
        obj = json.loads(Path(words[-1].removeprefix("--filename=")).read_text())
        if obj["kind"] == "ConfigMap":
            self.config_map = obj["data"]

    def _delete(self, words: list[str]) -> None:
        """Delete the pod that pulls an image."""
