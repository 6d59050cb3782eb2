"""Reads and changes the apps in the cluster."""

import base64
import contextlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from .errors import UpdateError, WorseError
from .kubectl import KubectlError, kubectl, node_of
from .registry import Login
from .settings import App, Object, Settings

UPDATED_FROM = "homeserver.stack/updated-from"
"""The annotation with the image that site.yml would have installed."""
_RECORD = ("--namespace=default", "configmap/homeserver-updates")
_HOOK_SECONDS = 3600
_PULL_SECONDS = 3600
_NAME = "app.kubernetes.io/name"
# Reasons for a container that waits, although its image is there.
_PULLED = ("CrashLoopBackOff", "RunContainerError", "CreateContainerError", "StartError")


class Requests(NamedTuple):
    """The requests that Traefik has answered for an app since its own start."""

    all: float
    failed: float


class Cluster:
    """The cluster, through kubectl."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.poll_seconds = 3.0

    def _kubectl(self, *arguments: str, seconds: int = 120) -> str:
        return kubectl(self._settings.kubectl, *arguments, seconds=seconds)

    def _get(self, *arguments: str) -> Object:
        found: Object = json.loads(self._kubectl("get", *arguments, "--output=json"))
        return found

    def _apps(self, kind: str, apps: Iterable[App]) -> Iterator[Object]:
        """Return the objects of some apps that have their names as a label."""
        apps = list(apps)
        names = ",".join(app.name for app in apps)
        yield from self._get(f"--namespace={apps[0].namespace}", kind, f"--selector={_NAME} in ({names})")[
            "items"
        ]

    def deployment(self, app: App) -> Object:
        """Return the Deployment of an app."""
        return self._get(f"--namespace={app.namespace}", f"deployment/{app.name}")

    def volumes(self, apps: Iterable[App]) -> list[Path]:
        """Return the directories of the volumes of apps.

        Raises:
            UpdateError: one of them is not in the directory of volumes on this machine.
        """
        claims = {(app.namespace, claim) for app in apps for claim in app.claims}
        if not claims:
            return []
        found = {}
        for volume in self._get("persistentvolumes")["items"]:
            spec = volume["spec"]
            claim = (spec.get("claimRef", {}).get("namespace"), spec.get("claimRef", {}).get("name"))
            if claim in claims and volume["status"].get("phase") == "Bound":
                found[claim] = self._directory(claim[1], spec)
        if missing := claims - found.keys():
            raise UpdateError(
                f"it has no volume yet: {', '.join(sorted(name for _, name in missing))} -> run site.yml"
            )
        return sorted(found.values())

    def _directory(self, claim: str, spec: Object) -> Path:
        path, node = Path(spec.get("hostPath", {}).get("path", "/")), node_of(spec)
        if node and node != os.uname().nodename.lower():
            raise UpdateError(
                f"its volume {claim} is on {node}, where it cannot be copied from here"
                " -> save it (playbooks/backup.yml), then change the image in its entry"
            )
        if path.parent != self._settings.volumes or not path.is_dir():
            raise UpdateError(
                f"its volume {claim} is no directory in {self._settings.volumes}"
                " -> save it (playbooks/backup.yml), then change the image in its entry"
            )
        return path

    def logins(self, app: App) -> dict[str, Login]:
        """Return the logins that the pods of an app pull images with."""
        found: dict[str, Login] = {}
        pod = self.deployment(app)["spec"]["template"]["spec"]
        for each in pod.get("imagePullSecrets") or []:
            data = self._get(f"--namespace={app.namespace}", f"secret/{each['name']}")["data"]
            content = json.loads(base64.b64decode(data[".dockerconfigjson"]))
            found |= {name: _login(entry) for name, entry in content["auths"].items()}
        return found

    def run(self, app: App, command: Iterable[str]) -> None:
        """Run a command in an app's pod."""
        self._kubectl(
            *(f"--namespace={app.namespace}", "exec", f"deployment/{app.name}", "--", *command),
            seconds=_HOOK_SECONDS,
        )

    def pull(self, app: App, image: str) -> None:
        """Pull an image where the app runs, by a pod that ends at once.

        Raises:
            UpdateError: it cannot be pulled.
        """
        template = self.deployment(app)["spec"]["template"]["spec"]
        name, namespace = f"{app.name[:50]}-pull", f"--namespace={app.namespace}"
        pods = [pod for pod in self._apps("pods", [app]) if pod["spec"].get("nodeName")]
        container = {
            "name": "pull",
            "image": image,
            # The image is pulled before it is found out whether it has this program.
            "command": ["true"],
            "securityContext": template["containers"][0].get("securityContext", {}),
            "resources": {"requests": {"cpu": "1m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        }
        spec: Object = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [container],
        }
        spec |= {key: template[key] for key in ("securityContext", "imagePullSecrets") if key in template}
        if pods:
            spec["nodeName"] = pods[0]["spec"]["nodeName"]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": app.namespace},
            "spec": spec,
        }
        gone = (namespace, "delete", f"pod/{name}", "--ignore-not-found", "--wait=true")
        self._kubectl(*gone)
        try:
            self._apply(pod)
            self._wait_for_image(app, name, image)
        finally:
            with contextlib.suppress(KubectlError):
                self._kubectl(*gone)

    def _wait_for_image(self, app: App, pod: str, image: str) -> None:
        deadline = time.monotonic() + _PULL_SECONDS
        why = "its pod does not start"
        while time.monotonic() < deadline:
            for status in self._get(f"--namespace={app.namespace}", f"pod/{pod}")["status"].get(
                "containerStatuses", []
            ):
                state = status.get("state", {})
                waiting = state.get("waiting", {})
                if "running" in state or "terminated" in state or waiting.get("reason") in _PULLED:
                    return
                why = waiting.get("message") or waiting.get("reason") or why
                if waiting.get("reason") == "ErrImageNeverPull" or "not found" in why:
                    raise UpdateError(f"{image} cannot be pulled: {why}")
            time.sleep(self.poll_seconds)
        raise UpdateError(f"{image} is not pulled after {_PULL_SECONDS // 60} minutes: {why}")

    def _apply(self, obj: Object) -> None:
        """Create or replace an object of this program."""
        self._kubectl(
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=homeserver-update",
            _file(self._settings, obj),
        )

    def stop(self, apps: Iterable[App], seconds: float) -> None:
        """Stop apps with volumes, and wait until no pod uses these.

        Raises:
            UpdateError: a pod does not end.
        """
        apps = list(apps)
        for app in apps:
            self.suspend(app, suspended=True)
            self._kubectl(f"--namespace={app.namespace}", "scale", f"deployment/{app.name}", "--replicas=0")
        claims = {claim for app in apps for claim in app.claims}
        deadline = time.monotonic() + seconds
        while pods := [
            pod["metadata"]["name"]
            for pod in self._get(f"--namespace={apps[0].namespace}", "pods")["items"]
            if _claims(pod) & claims and pod["status"].get("phase") not in ("Succeeded", "Failed")
        ]:
            if time.monotonic() > deadline:
                raise UpdateError(f"still running after {seconds:.0f} s: {', '.join(pods)} -> end them")
            time.sleep(self.poll_seconds)

    def suspend(self, app: App, *, suspended: bool) -> None:
        """Suspend the schedules of an app, or end that."""
        patch = json.dumps({"spec": {"suspend": suspended}})
        for job in app.jobs:
            self._kubectl(f"--namespace={app.namespace}", "patch", f"cronjob/{job}", f"--patch={patch}")

    def set_image(self, app: App, image: str, updated_from: str | None) -> None:
        """Change the image of an app and its schedules; `updated_from` is the annotation, None for none."""
        namespace = f"--namespace={app.namespace}"
        annotation = f"{UPDATED_FROM}={updated_from}" if updated_from else f"{UPDATED_FROM}-"
        self._kubectl(namespace, "annotate", "--overwrite", f"deployment/{app.name}", annotation)
        for name in (f"deployment/{app.name}", *(f"cronjob/{job}" for job in app.jobs)):
            self._kubectl(namespace, "set", "image", name, f"*={image}")

    def start(self, app: App, replicas: int) -> None:
        """Let an app run with a number of pods, and by its schedules."""
        if self.deployment(app)["spec"].get("replicas", 1) == 0:
            self._kubectl(
                f"--namespace={app.namespace}", "scale", f"deployment/{app.name}", f"--replicas={replicas}"
            )
        self.suspend(app, suspended=False)

    def wait_until_ready(self, apps: Iterable[App], seconds: float) -> None:
        """Wait until all pods of apps are ready and new.

        Raises:
            WorseError: they are not after these seconds.
        """
        apps = list(apps)
        deadline = time.monotonic() + seconds
        while unready := self.unready(apps):
            if time.monotonic() > deadline:
                raise WorseError(f"not ready after {seconds:.0f} s: {'; '.join(unready)}")
            time.sleep(self.poll_seconds)

    def unready(self, apps: Iterable[App]) -> list[str]:
        """Return which apps lack pods that are ready and new, with the reasons of their containers."""
        apps = list(apps)
        found = {each["metadata"]["name"]: each for each in self._apps("deployments", apps)}
        lacking = [app.name for app in apps if app.name not in found or not _is_rolled_out(found[app.name])]
        if not lacking:
            return []
        why: dict[str, set[str]] = {}
        for pod in self._apps("pods", apps):
            why.setdefault(pod["metadata"]["labels"][_NAME], set()).update(_reasons(pod))
        return [f"{name} ({', '.join(sorted(why.get(name, ()))) or 'no pod'})" for name in lacking]

    def restarts(self, apps: Iterable[App]) -> dict[str, int]:
        """Return how often each container of the apps' pods was restarted, by the UID of its pod."""
        return {
            f"{pod['metadata']['uid']}/{status['name']}": int(status["restartCount"])
            for pod in self._apps("pods", apps)
            for status in pod["status"].get("containerStatuses", [])
        }

    def requests(self, apps: Iterable[App]) -> Requests:
        """Return what Traefik has counted for apps, without waiting for Prometheus to scrape it."""
        names = "|".join(f"{app.namespace}[-_]{re.escape(app.name)}" for app in apps)
        sample = re.compile(
            rf'traefik_service_requests_total\{{(?=[^}}]*service="(?:{names})[-_](?:http|\d+|[0-9a-f]{{20}})(?:[-_]\w+)?@)'
            r'[^}]*code="(\d)[^}]*\} (\S+)'
        )
        pods = self._get("--namespace=traefik", "pods", f"--selector={_NAME}=traefik")["items"]
        counted = [found for pod in pods for line in self._metrics(pod) if (found := sample.match(line))]
        return Requests(
            sum(float(each[2]) for each in counted), sum(float(each[2]) for each in counted if each[1] == "5")
        )

    def _metrics(self, pod: Object) -> list[str]:
        ports = [port for each in pod["spec"]["containers"] for port in each.get("ports", [])]
        number = next((port["containerPort"] for port in ports if port.get("name") == "metrics"), None)
        if number is None or pod["status"].get("phase") != "Running":
            return []
        path = f"/api/v1/namespaces/traefik/pods/{pod['metadata']['name']}:{number}/proxy/metrics"
        try:
            return self._kubectl("get", "--raw", path).splitlines()
        except KubectlError:  # it just starts or ends
            return []

    def records(self) -> dict[str, Object]:
        """Return which image each updated app has instead of that in its entry."""
        found = self._kubectl("get", *_RECORD, "--ignore-not-found", "--output=json").strip()
        data = (json.loads(found).get("data") or {}) if found else {}
        return {name: json.loads(text) for name, text in data.items() if name != "waiting"}

    def write_records(self, records: dict[str, Object], waiting: Object) -> None:
        """Write the images of updated apps, and what waits, for site.yml and status.yml.

        The object has no label of the home. So a backup saves it, and a removal of the apps keeps it, like
        their volumes.
        """
        data = {name: json.dumps(record) for name, record in records.items()} | {
            "waiting": json.dumps(waiting)
        }
        metadata = {"name": "homeserver-updates", "namespace": "default"}
        self._apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _file(settings: Settings, obj: Object) -> str:
    """Write an object where kubectl reads it; MicroK8s' kubectl may not read /tmp of the host."""
    file = settings.directory / "object.json"
    file.write_text(json.dumps(obj))
    return f"--filename={file}"


def _login(entry: Object) -> Login:
    if "auth" in entry:
        user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        return user, password
    return entry["username"], entry["password"]


def _claims(pod: Object) -> set[str]:
    volumes = pod["spec"].get("volumes") or []
    return {each["persistentVolumeClaim"]["claimName"] for each in volumes if "persistentVolumeClaim" in each}


def _is_rolled_out(deployment: Object) -> bool:
    """Return whether all pods of a Deployment are ready and have its newest template."""
    wanted, status = deployment["spec"].get("replicas", 1), deployment.get("status", {})
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        and status.get("updatedReplicas", 0) == status.get("replicas", 0) == wanted
        and status.get("readyReplicas", 0) == wanted
    )


def _reasons(pod: Object) -> Iterator[str]:
    for status in pod["status"].get("containerStatuses", []):
        state = {
            **status.get("state", {}).get("waiting", {}),
            **status.get("state", {}).get("terminated", {}),
        }
        if state.get("reason"):
            yield str(state["reason"])
        elif not status.get("ready"):
            yield "its readiness probe fails"
    if pod["status"].get("phase") == "Pending" and not pod["status"].get("containerStatuses"):
        yield "its pod waits for a node"
