"""The text of the messages, and who receives them from a real Alertmanager with the role's configuration."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from harness.alertmanager_role import Role
from harness.programs import amtool, free_port
from harness.recorder import Message, Recorder, recording
from harness.waiting import wait_until

DISK = {
    "alertname": "DiskNearlyFull",
    "severity": "critical",
    "team": "home",
    "node": "home",
    "mountpoint": "/",
}
TOLD = {
    "summary": "home: / is 92 % full",
    "description": "/ on home has 3.1 GiB left of 40 GiB.",
    "runbook": "docs/runbooks/DiskNearlyFull.md",
}

Labels = dict[str, str]


# ---- text


def _alert(number: int = 0, *, over: bool = False, **annotations: str) -> dict[str, Any]:
    ends = "2026-11-24T10:12:03Z" if over else "0001-01-01T00:00:00Z"
    return {
        "status": "resolved" if over else "firing",
        "labels": DISK | {"mountpoint": f"/disk{number}"},
        "annotations": annotations or TOLD | {"summary": f"home: /disk{number} is full"},
        "startsAt": "2026-11-24T10:00:00Z",
        "endsAt": ends,
    }


def _read(directory: Path, template: str, *alerts: dict[str, Any], severity: str = "critical") -> str:
    """Let amtool render a message about a group of alerts."""
    firing = any(alert["status"] == "firing" for alert in alerts)
    group = {
        "status": "firing" if firing else "resolved",
        "externalURL": "https://alertmanager.home.arpa",
        "commonLabels": {"alertname": DISK["alertname"], "severity": severity},
        "commonAnnotations": {"runbook": TOLD["runbook"]},
        "alerts": list(alerts),
    }
    Role(alertmanager_runbook_base_url="https://git.example.org/home/").configuration(directory)
    (directory / "group.json").write_text(json.dumps(group))
    command = [str(amtool()), "template", "render", f"--template.glob={directory}/*.tmpl"]
    command += [
        f"--template.data={directory}/group.json",
        f'--template.text={{{{ template "{template}" . }}}}',
    ]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True)
    return rendered.stdout.rstrip("\n")


def test_the_title_shows_severity_problem_and_place(tmp_path: Path) -> None:
    assert _read(tmp_path, "home.title", _alert()) == "🔴 home: /disk0 is full"
    assert _read(tmp_path, "home.title", _alert(), severity="warning") == "🟡 home: /disk0 is full"
    assert _read(tmp_path, "home.title", _alert(over=True)) == "✅ home: /disk0 is full"
    assert _read(tmp_path, "home.title", _alert(1), _alert(2)) == "🔴 2 alerts: DiskNearlyFull"
    assert _read(tmp_path, "home.title", _alert(1), _alert(2, over=True)) == "🔴 home: /disk1 is full"


def test_the_text_names_the_problem_and_the_fix(tmp_path: Path) -> None:
    assert _read(tmp_path, "home.text", _alert()).splitlines() == [
        "/ on home has 3.1 GiB left of 40 GiB.",
        "What to do: https://git.example.org/home/docs/runbooks/DiskNearlyFull.md",
        "All alerts: https://alertmanager.home.arpa/#/alerts",
    ]


def test_a_resolved_alert_shows_how_long_it_lasted(tmp_path: Path) -> None:
    assert _read(tmp_path, "home.text", _alert(over=True)).splitlines() == [
        "✅ home: /disk0 is full: over after 12m 3s",
        "All alerts: https://alertmanager.home.arpa/#/alerts",
    ]


def test_many_alerts_make_a_short_message(tmp_path: Path) -> None:
    text = _read(tmp_path, "home.text", *map(_alert, range(50)))

    assert text.count("• home: /disk") == 10
    assert "50 in all." in text


def test_an_owners_alert_needs_no_annotations(tmp_path: Path) -> None:
    assert _read(tmp_path, "home.title", _alert(dashboard="x")) == "🔴 DiskNearlyFull"


# ---- delivery

# An alert after which those before it are told, or never will be.
LAST = {"alertname": "Last", "severity": "warning"}


class Alertmanager:
    """A running Alertmanager."""

    def __init__(self, port: int, recorder: Recorder) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.recorder = recorder

    def fire(self, *alerts: Labels, seconds: float = 300) -> None:
        """Act as Prometheus: alerts with these labels fire for this long."""
        ends = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        body = [{"labels": labels, "annotations": TOLD, "endsAt": ends} for labels in alerts]
        requests.post(f"{self.url}/api/v2/alerts", json=body, timeout=5).raise_for_status()

    def messages(self, path: str, number: int = 1) -> list[Message]:
        """Wait for this number of messages to a path, and return them."""
        self.recorder.wait(lambda: len(self.recorder.of(path)) >= number)
        return self.recorder.of(path)

    def told(self, path: str, number: int = 1) -> list[list[tuple[str, str]]]:
        """Wait for messages to a path, and return the names and severities of the alerts in each."""
        return [
            sorted(
                (alert["labels"]["alertname"], alert["labels"]["severity"])
                for alert in message.content["alerts"]
            )
            for message in self.messages(path, number)
        ]


@contextmanager
def _alertmanager(directory: Path, **variables: Any) -> Iterator[Alertmanager]:
    """Run Alertmanager with the role's configuration; the recorder is every receiver."""
    with recording() as recorder:
        url = f"http://127.0.0.1:{recorder.port}"
        role = Role(
            _alertmanager_directory=str(directory),
            alertmanager_group_wait_seconds=1,
            alertmanager_group_interval_seconds=1,
            alertmanager_ntfy=[{"url": f"{url}/ntfy", "token": "ntfy-token"}],
            alertmanager_slack=[{"url": f"{url}/slack"}],
            alertmanager_discord=[{"url": f"{url}/discord"}],
            alertmanager_msteams=[{"url": f"{url}/msteams"}],
            alertmanager_webhook=[{"url": f"{url}/webhook", "token": "webhook-token"}],
            alertmanager_deadman_url=f"{url}/deadman",
            **variables,
        )
        port = free_port()
        command = [
            str(amtool().with_name("alertmanager")),
            f"--config.file={role.configuration(directory)}",
            f"--storage.path={directory}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.external-url=https://alertmanager.home.arpa",
            "--web.route-prefix=/",
            "--cluster.listen-address=",
        ]
        with (directory / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
            try:
                alertmanager = Alertmanager(port, recorder)
                _ready(alertmanager)
                yield alertmanager
            finally:
                process.terminate()


def _ready(alertmanager: Alertmanager) -> None:
    def is_ready() -> bool:
        try:
            return requests.get(f"{alertmanager.url}/-/ready", timeout=30).ok
        except requests.ConnectionError:
            return False

    wait_until(is_ready)


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    """Alertmanager without quiet hours."""
    with _alertmanager(tmp_path) as running:
        yield running


def test_each_receiver_gets_one_message_about_all_alerts_of_a_name(alertmanager: Alertmanager) -> None:
    alertmanager.fire(DISK, DISK | {"mountpoint": "/srv"})

    for path in ("/webhook", "/ntfy", "/slack", "/discord", "/msteams"):
        (message,) = alertmanager.messages(path)
        assert TOLD["description"] in json.dumps(message.content)
    assert alertmanager.told("/webhook") == [[("DiskNearlyFull", "critical")] * 2]
    assert alertmanager.recorder.of("/deadman") == []


def test_tokens_are_sent(alertmanager: Alertmanager) -> None:
    alertmanager.fire(DISK)

    assert [alertmanager.messages(path)[0].headers["authorization"] for path in ("/ntfy", "/webhook")] == [
        "Bearer ntfy-token",
        "Bearer webhook-token",
    ]


def test_ntfy_gets_priority_and_templates(alertmanager: Alertmanager) -> None:
    alertmanager.fire(DISK)
    (message,) = alertmanager.messages("/ntfy")

    assert message.path == "/ntfy?priority=5&tags=red_circle"
    assert message.headers["x-template"] == "yes"
    assert ".commonAnnotations.summary" in message.headers["x-title"]
    assert "\\n" not in message.headers["x-title"]
    assert ".annotations.description" in message.headers["x-message"]


def test_the_end_of_an_alert_is_sent_too(alertmanager: Alertmanager) -> None:
    alertmanager.fire(DISK)
    alertmanager.messages("/webhook")
    alertmanager.fire(DISK, seconds=-1)

    assert [message.content["status"] for message in alertmanager.messages("/webhook", 2)] == [
        "firing",
        "resolved",
    ]


def test_the_watchdog_reaches_only_the_dead_mans_switch(alertmanager: Alertmanager) -> None:
    alertmanager.fire({"alertname": "Watchdog", "severity": "none"})
    alertmanager.messages("/deadman")
    alertmanager.fire(LAST)
    alertmanager.messages("/webhook")

    messages = alertmanager.recorder.messages
    assert {message.path for message in messages if "Watchdog" in str(message.content)} == {"/deadman"}


def test_a_node_that_is_down_inhibits_alerts_about_its_pods(alertmanager: Alertmanager) -> None:
    node_down = {"alertname": "NodeDown", "severity": "critical", "node": "attic"}
    pod = {"alertname": "PodNotReady", "severity": "warning", "node": "attic", "pod": "web-0"}
    alertmanager.fire(node_down, pod, pod | {"node": "home"})

    assert sorted(alertmanager.told("/webhook", 2)) == [
        [("NodeDown", "critical")],
        [("PodNotReady", "warning")],
    ]


def test_a_node_that_is_down_is_one_message(alertmanager: Alertmanager) -> None:
    attic = {"severity": "critical", "node": "attic"}
    warning = {"severity": "warning"}
    alertmanager.fire(
        attic | {"alertname": "NodeDown"},
        attic | {"alertname": "NodeNotReady"},
        attic | {"alertname": "ProbeFailed", "instance": "Traefik on attic"},
        attic | warning | {"alertname": "TargetDown", "job": "node"},
        attic | warning | {"alertname": "PodNotReady", "pod": "web-0"},
        warning | {"alertname": "PodPending", "pod": "db-1"},
        warning | {"alertname": "WorkloadIncomplete", "deployment": "db"},
    )
    alertmanager.messages("/webhook")
    alertmanager.fire(LAST)

    assert alertmanager.told("/webhook", 2) == [[("NodeDown", "critical")], [("Last", "warning")]]


def test_a_node_that_is_not_ready_still_tells_why(alertmanager: Alertmanager) -> None:
    attic = {"severity": "warning", "node": "attic"}
    alertmanager.fire(
        attic | {"alertname": "NodeNotReady", "severity": "critical"},
        DISK | {"node": "attic"},
        attic | {"alertname": "TargetDown", "job": "kubelet"},
        attic | {"alertname": "PodNotReady", "pod": "web-0"},
        attic | {"alertname": "TargetDown", "node": "home"},
    )
    alertmanager.messages("/webhook", 3)
    alertmanager.fire(LAST)

    assert sorted(alertmanager.told("/webhook", 4)) == [
        [("DiskNearlyFull", "critical")],
        [("Last", "warning")],
        [("NodeNotReady", "critical")],
        [("TargetDown", "warning")],
    ]


def test_a_critical_alert_inhibits_the_same_warning(alertmanager: Alertmanager) -> None:
    warning = DISK | {"severity": "warning"}
    alertmanager.fire(
        DISK, warning, warning | {"mountpoint": "/srv"}, warning | {"alertname": "DiskWillFill"}
    )

    assert sorted(alertmanager.told("/webhook", 3)) == [
        [("DiskNearlyFull", "critical")],
        [("DiskNearlyFull", "warning")],
        [("DiskWillFill", "warning")],
    ]


def test_people_get_only_critical_alerts_in_quiet_hours(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    hours = "-".join((now + timedelta(hours=hours)).strftime("%H:%M") for hours in (-1, 1))
    with _alertmanager(tmp_path, alertmanager_quiet_hours=hours) as alertmanager:
        alertmanager.fire(DISK, DISK | {"alertname": "RebootRequired", "severity": "warning"})

        assert sorted(alertmanager.told("/webhook", 2))[1] == [("RebootRequired", "warning")]
        assert alertmanager.told("/ntfy") == [[("DiskNearlyFull", "critical")]]
