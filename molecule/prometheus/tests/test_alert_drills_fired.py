"""Each fault is reported once, grouped with similar ones, and a full disk is cleaned up.

The faults are those of test_alert_drills.py. The tests print the seconds from each to its message.
test_alert_drills_over.py checks the messages about the end.
"""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from testinfra.host import Host

from harness.drills import LEFTOVER, MARGIN, UNUSED, VOLUMES, Drill, Past
from harness.home import Home, Kubectl, eventually
from harness.mail import Mailbox
from harness.prometheus import Prometheus

each_drill = pytest.mark.parametrize("name", ["volumes", "app", "pod"])


@each_drill
def test_it_is_reported_once_and_grouped(past: Past, drills: dict[str, Drill], name: str) -> None:
    ((message, values),) = drills[name].messages(past.recorder, "firing")

    assert values == drills[name].values
    assert message.headers["authorization"] == "Bearer not-a-secret"
    assert {"summary", "description", "runbook"} <= message.content["alerts"][0]["annotations"].keys()


@each_drill
def test_it_is_reported_in_time(
    past: Past, drills: dict[str, Drill], name: str, prometheus: Prometheus, capfd: pytest.CaptureFixture[str]
) -> None:
    rules = [rule for group in prometheus.api("rules", type="alert")["groups"] for rule in group["rules"]]
    waits = max(rule["duration"] for rule in rules if rule["name"] == drills[name].alert)
    (message, _) = drills[name].messages(past.recorder, "firing")[0]
    seconds = message.at - past.injected[name]
    with capfd.disabled():
        print(f"\n{drills[name].alert}: reported after {seconds:.0f} s, of which its rule waits {waits:g}")  # noqa: T201

    assert seconds <= waits + MARGIN


@pytest.mark.usefixtures("past")
def test_a_critical_alert_is_mailed(mailbox: Mailbox) -> None:
    def mailed() -> bool:
        return any("hello." in message["Subject"] for message in mailbox.messages)

    assert eventually(mailed, 30), [message["Subject"] for message in mailbox.messages]
    message = next(each for each in mailbox.messages if "hello." in each["Subject"])
    assert message["To"].startswith("owner@")
    body = message.get_body(("plain",))
    assert body is not None
    assert "ProbeFailed" in body.get_content()


# ---- The disk's alert also starts a cleanup


def _lines(kubectl: Kubectl, workload: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in kubectl(f"-n disk-cleanup logs {workload}").splitlines()]


@pytest.fixture(scope="module")
def cleanup(past: Past, kubectl: Kubectl) -> str:
    """The Job that the alert started."""
    began = datetime.fromtimestamp(past.injected["volumes"], UTC)
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


def test_it_removes_unused_files_and_records_them(cleanup: str, kubectl: Kubectl, host: Host) -> None:
    lines = _lines(kubectl, f"job/{cleanup}")

    assert UNUSED in [line.get("image") for line in lines if line["event"] == "removed image"]
    assert "drill.tar.loaded" in [line.get("file") for line in lines]
    assert (lines[-1]["event"], lines[-1]["failures"]) == ("done", 0)
    assert UNUSED not in host.check_output("/snap/bin/microk8s ctr images ls --quiet").split()
    assert not host.file(LEFTOVER).exists


@pytest.mark.usefixtures("cleanup")
def test_it_keeps_every_image_of_the_bundle(host: Host, home: Home) -> None:
    present = set(host.check_output("/snap/bin/microk8s ctr images ls --quiet").split())

    assert {home.image(name) for name in ("traefik", "prometheus", "alertmanager", "httpbin")} <= present


def test_the_receiver_cannot_start_another_job(kubectl: Kubectl, host: Host) -> None:
    spec = kubectl.get("-n disk-cleanup cronjob disk-cleanup")["spec"]["jobTemplate"]["spec"]
    spec["template"]["spec"]["containers"][0]["command"] = ["sleep", "60"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "another"}, "spec": spec}
    create = (
        "/snap/bin/microk8s kubectl -n disk-cleanup create --as=system:serviceaccount:disk-cleanup:receiver"
    )
    done = host.run(f"printf %s '{json.dumps(job)}' | {create} -f -")

    assert done.rc != 0
    assert (
        "the pod must be identical to the pod of the CronJob disk-cleanup, except for its node" in done.stderr
    )
