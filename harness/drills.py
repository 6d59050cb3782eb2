"""Injected faults in a home, with the alerts that they cause."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from testinfra.host import Host

from harness.archives import tar
from harness.home import Home, Kubectl, eventually
from harness.recorder import Message, Recorder

VOLUMES = ("/srv/drill-one", "/srv/drill-two")
# The cluster's metrics are pushed: those of a deleted pod are kept for five minutes.
OVER = 420
# Seconds for scraping, evaluation and sending on a busy machine, in addition to the rule's own wait.
MARGIN = 300
# The receiver did not listen before the tests; this computer may be busy with others.
UNRELATED = frozenset({"NotificationsFailing", "NodeLoadHigh"})
UNUSED = "localhost/unused:drill"
LEFTOVER = "/var/snap/microk8s/common/etc/sideload/drill.tar.loaded"


@dataclass(frozen=True)
class Drill:
    """A fault, with the alerts that it causes.

    Attributes:
        alert: their name.
        label: the label that distinguishes them from others of that name.
        values: its values, one for each alert.
    """

    alert: str
    label: str
    values: frozenset[str]

    @property
    def firing(self) -> str:
        """The query for those of its alerts that fire."""
        values = "|".join(sorted(self.values))
        return f'ALERTS{{alertstate="firing",alertname="{self.alert}",{self.label}=~"{values}"}}'

    def messages(self, recorder: Recorder, status: str) -> list[tuple[Message, set[str]]]:
        """Return the messages with this status about its alerts, each with their values."""
        found = [
            (message, {alert["labels"].get(self.label) for alert in message.content["alerts"]} & self.values)
            for message in recorder.of("/alerts")
            if (message.content["status"], message.content["groupLabels"]["alertname"])
            == (status, self.alert)
        ]
        return [(message, values) for message, values in found if values]


def drills_of(home: Home) -> dict[str, Drill]:
    """Return the drills: two volumes run full, an app is stopped, and a pod crashes repeatedly."""
    return {
        "volumes": Drill("DiskNearlyFull", "mountpoint", frozenset(VOLUMES)),
        "app": Drill("ProbeFailed", "host", frozenset({f"hello.{home.domain}"})),
        "pod": Drill("PodCrashLooping", "pod", frozenset({"drill"})),
    }


@dataclass
class Past:
    """The results of the drills.

    Attributes:
        recorder: the receiver of the messages.
        injected: when each fault was injected, in seconds since the epoch; empty before.
        others: names of the alerts that fired before, such as one about this computer's own disk.
        faults: fixes those faults, when it is closed, that are not fixed yet.
    """

    recorder: Recorder
    injected: dict[str, float] = field(default_factory=dict)
    others: set[str] = field(default_factory=lambda: set(UNRELATED))
    faults: ExitStack = field(default_factory=ExitStack)

    def reported(self, drills: dict[str, Drill], status: str) -> bool:
        """Return whether there is a message with this status about each drill."""
        return all(drill.messages(self.recorder, status) for drill in drills.values())

    def inject(self, host: Host, kubectl: Kubectl) -> None:
        """Inject all faults."""
        _waste_space(host, kubectl)
        faults = {
            "pod": _crashing_pod(kubectl),  # the first, because it takes longest
            "volumes": _full_volumes(host),
            "app": _stopped_app(kubectl),
        }
        with ExitStack() as made:
            for name, fault in faults.items():
                made.enter_context(fault)
                self.injected[name] = time.time()
            assert eventually(lambda: _restarts(kubectl) > 1, 120)  # the threshold in variables.yml
            self.injected["pod"] = time.time()
            self.faults = made.pop_all()

    def fix(self, drills: dict[str, Drill]) -> None:
        """Wait until all faults are reported, and fix them, unless that was done before."""
        with self.faults.pop_all():
            self.recorder.wait(lambda: self.reported(drills, "firing"), 180)


@contextmanager
def _full_volumes(host: Host) -> Iterator[None]:
    for volume in VOLUMES:
        host.check_output(f"mkdir -p {volume} && mount -t tmpfs -o size=16m drill {volume}")
        host.check_output(f"head -c 15M /dev/zero > {volume}/fill")
    try:
        yield
    finally:
        # Both at once, so that they are grouped in one message.
        host.check_output(f"rm {' '.join(f'{volume}/fill' for volume in VOLUMES)}")


@contextmanager
def _stopped_app(kubectl: Kubectl) -> Iterator[None]:
    kubectl("-n apps scale deployment/hello --replicas=0")
    try:
        yield
    finally:
        kubectl("-n apps scale deployment/hello --replicas=2")
        kubectl("-n apps rollout status deployment/hello --timeout=120s")


@contextmanager
def _crashing_pod(kubectl: Kubectl) -> Iterator[None]:
    image = kubectl.image("apps", "hello")
    spec = {"containers": [{"name": "drill", "image": image, "command": ["false"]}]}
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "drill"}, "spec": spec})
    try:
        yield
    finally:
        kubectl("delete pod drill")


def _restarts(kubectl: Kubectl) -> int:
    """Return how often the crashing pod has been restarted."""
    (status,) = kubectl.get("pod drill")["status"].get("containerStatuses") or [{}]
    return int(status.get("restartCount", 0))


def _waste_space(host: Host, kubectl: Kubectl) -> None:
    """Create an unused image and an old archive, and delete the Jobs of recent cleanups."""
    kubectl("-n disk-cleanup delete jobs --all")
    archive = base64.b64encode(_image(UNUSED)).decode()
    host.check_output(f"echo {archive} | base64 -d | /snap/bin/microk8s ctr images import -")
    host.check_output(f"touch -d '2 days ago' {LEFTOVER}")


def _image(reference: str) -> bytes:
    """Create the archive of an image with one empty file."""
    layer = tar({"nothing": b""})
    root = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
    configuration = json.dumps(
        {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": root}
    ).encode()
    manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    files = {"manifest.json": json.dumps(manifest).encode(), "config.json": configuration, "layer.tar": layer}
    return tar(files)
