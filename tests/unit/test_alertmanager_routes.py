"""Each alert reaches the receivers that are configured for it, and no others."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.alertmanager_role import EVERYBODY, Role
from harness.programs import amtool

ALL = {
    f"{kind}-1"
    for kind in ("ntfy", "pushover", "telegram", "email", "slack", "discord", "msteams", "webhook")
}
# A family: one phone gets critical alerts, one topic is the children's, a program cleans up disks.
FAMILY = EVERYBODY | {
    "alertmanager_ntfy": [
        {"url": "https://ntfy.example/parents"},
        {"url": "https://ntfy.example/children", "teams": ["children", "guests"]},
    ],
    "alertmanager_pushover": [
        {"user_key": "k", "token": "t", "severities": ["critical"], "teams": ["home"]},
    ],
    "alertmanager_telegram": [{"token": "t", "chat_id": 5, "severities": ["warning", "info"]}],
    "alertmanager_webhook": [{"url": "http://robot.apps:8080/", "alerts": ["DiskNearlyFull"]}],
}

Route = Callable[..., set[str]]


@pytest.fixture
def route(tmp_path: Path) -> Route:
    """Ask amtool for the receivers of an alert with these labels, in a home with these variables."""

    def ask(variables: dict[str, Any], **labels: str) -> set[str]:
        configuration = Role(**variables).configuration(tmp_path)
        command = [str(amtool()), "config", "routes", "test", f"--config.file={configuration}"]
        told = subprocess.run(
            [*command, *(f"{label}={value}" for label, value in labels.items())],
            capture_output=True,
            text=True,
            check=True,
        )
        return set(told.stdout.strip().split(","))

    return ask


@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_receivers_without_filters_get_every_alert(route: Route, severity: str) -> None:
    assert route(EVERYBODY, alertname="PodCrashLooping", severity=severity, team="home") == ALL


def test_an_owners_alert_needs_no_labels(route: Route) -> None:
    assert route(EVERYBODY, alertname="TooHot") == ALL


def test_without_receivers_nobody_is_notified(route: Route) -> None:
    assert route({}, alertname="PodCrashLooping", severity="critical", team="home") == {"nobody"}


def test_the_watchdog_goes_only_to_the_dead_mans_switch(route: Route) -> None:
    assert route(EVERYBODY, alertname="Watchdog", severity="none", team="home") == {"deadman-1"}
    assert route(EVERYBODY | {"alertmanager_deadman_url": ""}, alertname="Watchdog", severity="none") == {
        "nobody"
    }


@pytest.mark.parametrize(
    ("alert", "severity", "team", "specially"),
    [
        ("NodeDown", "critical", "home", {"pushover-1"}),
        ("NodeDown", "critical", "children", {"ntfy-2"}),
        ("NodeDown", "warning", "home", {"telegram-1"}),
        ("NodeDown", "info", "guests", {"ntfy-2", "telegram-1"}),
        ("NodeDown", "info", "guest", {"telegram-1"}),
        ("DiskNearlyFull", "warning", "home", {"telegram-1", "webhook-1"}),
    ],
)
def test_a_receiver_with_filters_gets_the_matching_alerts(
    route: Route, alert: str, severity: str, team: str, specially: set[str]
) -> None:
    of_everything = {"ntfy-1", "email-1", "slack-1", "discord-1", "msteams-1"}

    assert route(FAMILY, alertname=alert, severity=severity, team=team) == of_everything | specially


def test_prometheus_is_restarted_by_its_own_alert(route: Route) -> None:
    assert route({}, alertname="PrometheusRestartDue", severity="info", team="home") == {"restart-1"}


@pytest.mark.parametrize(
    ("alert", "told"),
    [("DiskNearlyFull", {"automation-1"}), ("DiskFillingUp", {"automation-1"}), ("NodeDown", {"nobody"})],
)
def test_the_disk_cleanup_gets_alerts_about_disks(route: Route, alert: str, told: set[str]) -> None:
    assert route({"disk_cleanup_enabled": True}, alertname=alert, severity="critical", team="home") == told
