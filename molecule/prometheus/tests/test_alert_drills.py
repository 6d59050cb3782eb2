"""Things go wrong on purpose: each alert is told once, together with its like, and so is its end.

All go wrong at the same time, because a rule takes a minute or more to be sure. How many seconds passed from
a fault to the message is printed.
"""

import base64
import hashlib
import io
import json
import re
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from testinfra.host import Host

from tests.home import ROOT, Home, Kubectl, eventually
from tests.prometheus import Prometheus
from tests.recorder import Message, Recorder

VOLUMES = ("/srv/drill-one", "/srv/drill-two")
# The state of the cluster is pushed: that of a pod which is gone is believed for five minutes.
OVER = 420
# Seconds for looking, deciding and telling, besides those that a rule itself waits, on a busy machine.
MARGIN = 120
OF_BEFORE = "NotificationsFailing"  # since before the tests listened, nobody did
UNUSED = "localhost/unused:drill"
LEFTOVER = "/var/snap/microk8s/common/etc/sideload/drill.tar.loaded"


@dataclass(frozen=True)
class Drill:
    """A fault, by the alerts that it causes.

    Attributes:
        alert: their name.
        label: the label by which they are told from others of that name.
        values: its values, one for each alert.
    """

    alert: str
    label: str
    values: frozenset[str]

    def messages(self, recorder: Recorder, status: str) -> list[tuple[Message, set[str]]]:
        """Return the messages with this status that are about it, each with the values it has."""
        found = [
            (message, {alert["labels"].get(self.label) for alert in message.content["alerts"]} & self.values)
            for message in recorder.of("/alerts")
            if (message.content["status"], message.content["groupLabels"]["alertname"])
            == (status, self.alert)
        ]
        return [(message, values) for message, values in found if values]


@pytest.fixture(scope="module")
def drills(home: Home) -> dict[str, Drill]:
    """Two volumes run full, an app is stopped, and a pod crashes again and again."""
    return {
        "volumes": Drill("DiskNearlyFull", "mountpoint", frozenset(VOLUMES)),
        "app": Drill("ProbeFailed", "host", frozenset({f"hello.{home.domain}"})),
        "pod": Drill("PodCrashLooping", "pod", frozenset({"drill"})),
    }


@contextmanager
def _full_volumes(host: Host) -> Iterator[None]:
    for volume in VOLUMES:
        host.check_output(f"mkdir -p {volume} && mount -t tmpfs -o size=16m drill {volume}")
        host.check_output(f"head -c 15M /dev/zero > {volume}/fill")
    try:
        yield
    finally:
        for volume in VOLUMES:
            host.check_output(f"rm {volume}/fill")


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
    """Give a pod that has crashed as often as the rule wants."""
    image = kubectl.image("apps", "hello")
    spec = {"containers": [{"name": "drill", "image": image, "command": ["false"]}]}
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "drill"}, "spec": spec})

    def has_crashed() -> bool:
        (status,) = kubectl.get("pod drill")["status"].get("containerStatuses") or [{}]
        return bool(status.get("restartCount", 0) > 1)  # the threshold in converge.yml

    try:
        assert eventually(has_crashed, 120)
        yield
    finally:
        kubectl("delete pod drill")


@dataclass(frozen=True)
class Past:
    """What has come of the drills.

    Attributes:
        begun: when each fault was there, in seconds of the epoch.
        recorder: who was told.
    """

    begun: dict[str, float]
    recorder: Recorder

    def told(self, drills: dict[str, Drill], status: str) -> bool:
        """Whether there is a message with this status about each."""
        return all(drill.messages(self.recorder, status) for drill in drills.values())


@pytest.fixture(scope="module")
def past(
    host: Host, kubectl: Kubectl, recorder: Recorder, drills: dict[str, Drill], prometheus: Prometheus
) -> Iterator[Past]:
    """Let everything go wrong, wait until it is told, mend it, and wait until that is told."""
    # What was wrong before, such as by an earlier run of this, would not be told again.
    firing = f'ALERTS{{alertstate="firing",severity!="none",alertname!="{OF_BEFORE}"}}'
    assert eventually(lambda: prometheus.query(firing) == [], OVER), prometheus.query(firing)
    past = Past({}, recorder)
    faults = {
        "volumes": _full_volumes(host),
        "app": _stopped_app(kubectl),
        "pod": _crashing_pod(kubectl),
    }
    _waste_space(host, kubectl)
    try:
        with ExitStack() as made:
            for name, fault in faults.items():
                made.enter_context(fault)
                past.begun[name] = time.time()
            recorder.wait(lambda: past.told(drills, "firing"), 180)
        recorder.wait(lambda: past.told(drills, "resolved"), OVER)
        time.sleep(20)  # in which it would be told again
        yield past
    finally:
        host.run(f"umount {' '.join(VOLUMES)}; rmdir {' '.join(VOLUMES)}")


each_drill = pytest.mark.parametrize("name", ["volumes", "app", "pod"])


@each_drill
def test_it_is_told_once_and_together(past: Past, drills: dict[str, Drill], name: str) -> None:
    ((message, told),) = drills[name].messages(past.recorder, "firing")

    assert told == drills[name].values
    assert message.headers["authorization"] == "Bearer not-a-secret"
    assert {"summary", "description", "runbook"} <= message.content["alerts"][0]["annotations"].keys()


@each_drill
def test_that_it_is_over_is_told_once_and_together(past: Past, drills: dict[str, Drill], name: str) -> None:
    assert [told for _, told in drills[name].messages(past.recorder, "resolved")] == [drills[name].values]


@each_drill
def test_it_is_told_in_time(
    past: Past, drills: dict[str, Drill], name: str, prometheus: Prometheus, capfd: pytest.CaptureFixture[str]
) -> None:
    rules = [rule for group in prometheus.api("rules", type="alert")["groups"] for rule in group["rules"]]
    waits = max(rule["duration"] for rule in rules if rule["name"] == drills[name].alert)
    (message, _) = drills[name].messages(past.recorder, "firing")[0]
    seconds = message.at - past.begun[name]
    with capfd.disabled():
        print(f"\n{drills[name].alert}: told after {seconds:.0f} s, of which its rule waits {waits:g}")  # noqa: T201

    assert seconds <= waits + MARGIN


def test_the_dead_mans_switch_is_called_again_and_again(past: Past) -> None:
    assert len(past.recorder.of("/watchdog")) >= 3


def test_nothing_else_was_told(past: Past, drills: dict[str, Drill]) -> None:
    since = min(past.begun.values())
    messages = [message for message in past.recorder.of("/alerts") if message.at > since]

    names = {message.content["groupLabels"]["alertname"] for message in messages}

    assert names - {OF_BEFORE} == {drill.alert for drill in drills.values()}


@pytest.mark.usefixtures("past")
def test_an_alert_made_by_hand_is_told(kubectl: Kubectl, recorder: Recorder) -> None:
    (line,) = re.findall(r"^kubectl (.* alert add .*)$", (ROOT / "docs/alerts.md").read_text(), re.MULTILINE)
    kubectl(line)

    recorder.wait(
        lambda: "Test" in {m.content["groupLabels"]["alertname"] for m in recorder.of("/alerts")}, 30
    )


# ---- the disk's alert also starts a cleanup


def _waste_space(host: Host, kubectl: Kubectl) -> None:
    """Leave an image that nothing uses, an archive that was forgotten, and no cleanup of just now."""
    kubectl("-n disk-cleanup delete jobs --all")
    archive = base64.b64encode(_image(UNUSED)).decode()
    host.check_output(f"echo {archive} | base64 -d | /snap/bin/microk8s ctr images import -")
    host.check_output(f"touch -d '2 days ago' {LEFTOVER}")


def _image(reference: str) -> bytes:
    """Make the archive of an image with one empty file in it."""
    layer = _tar({"nothing": b""})
    root = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
    configuration = json.dumps(
        {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": root}
    ).encode()
    manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    files = {"manifest.json": json.dumps(manifest).encode(), "config.json": configuration, "layer.tar": layer}
    return _tar(files)


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _lines(kubectl: Kubectl, workload: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in kubectl(f"-n disk-cleanup logs {workload}").splitlines()]


@pytest.fixture(scope="module")
def cleanup(past: Past, kubectl: Kubectl) -> str:
    """The Job that the alert has started."""
    began = datetime.fromtimestamp(past.begun["volumes"], UTC)
    lines = _lines(kubectl, f"deployment/receiver --since-time={began:%Y-%m-%dT%H:%M:%SZ}")
    started = [line for line in lines if line["event"] == "started"]
    assert started[-1]["alert"]["alertname"] == "DiskNearlyFull"
    kubectl(f"-n disk-cleanup wait job/{started[-1]['job']} --for=condition=Complete --timeout=60s")
    return str(started[-1]["job"])


def test_a_full_disk_starts_one_cleanup(cleanup: str, kubectl: Kubectl, home: Home) -> None:
    (job,) = kubectl.get("-n disk-cleanup jobs")["items"]

    assert job["metadata"]["name"] == cleanup
    assert job["metadata"]["labels"]["homeserver.stack/node"] == home.name
    assert json.loads(job["metadata"]["annotations"]["homeserver.stack/alert"])["mountpoint"] in VOLUMES


def test_it_removes_what_nothing_uses_and_says_so(cleanup: str, kubectl: Kubectl, host: Host) -> None:
    lines = _lines(kubectl, f"job/{cleanup}")

    assert UNUSED in [line.get("image") for line in lines if line["event"] == "removed image"]
    assert "drill.tar.loaded" in [line.get("file") for line in lines]
    assert (lines[-1]["event"], lines[-1]["failures"]) == ("done", 0)
    assert UNUSED not in host.check_output("/snap/bin/microk8s ctr images ls --quiet").split()
    assert not host.file(LEFTOVER).exists


@pytest.mark.usefixtures("cleanup")
def test_it_keeps_every_image_of_the_bundle(host: Host, home: Home) -> None:
    present = set(host.check_output("/snap/bin/microk8s ctr images ls --quiet").split())

    assert {home.image(name) for name in ("traefik", "prometheus", "alertmanager", "whoami")} <= present


def test_the_receiver_can_start_no_other_job(kubectl: Kubectl, host: Host) -> None:
    spec = kubectl.get("-n disk-cleanup cronjob disk-cleanup")["spec"]["jobTemplate"]["spec"]
    spec["template"]["spec"]["containers"][0]["command"] = ["sleep", "60"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "another"}, "spec": spec}
    create = (
        "/snap/bin/microk8s kubectl -n disk-cleanup create --as=system:serviceaccount:disk-cleanup:receiver"
    )
    done = host.run(f"printf %s '{json.dumps(job)}' | {create} -f -")

    assert done.rc != 0
    assert "one container, with the image and the command of a cleanup" in done.stderr
