"""Every configuration that the role can render is valid for Alertmanager and contains no secret."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.alertmanager_role import EVERYBODY, Role
from harness.programs import amtool

RELAY = {"to": "owner@example.org", "smarthost": "relay:25", "require_tls": False}


def _check(configuration: Path) -> str:
    checked = subprocess.run(
        [amtool(), "check-config", configuration], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    return checked.stdout


def _quiet_hours(configuration: Path) -> Any:
    (interval,) = yaml.safe_load(configuration.read_text())["time_intervals"]
    return interval["time_intervals"]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        EVERYBODY,
        {kind: receivers * 2 for kind, receivers in EVERYBODY.items() if isinstance(receivers, list)},
        {"alertmanager_email": [RELAY], "alertmanager_quiet_hours": "12:30-14:00"},
        {"alertmanager_deadman_url": EVERYBODY["alertmanager_deadman_url"]},
    ],
    ids=["nobody", "everybody", "two of each", "a relay without login", "only the dead-man's switch"],
)
def test_alertmanager_accepts_it(tmp_path: Path, variables: dict[str, Any]) -> None:
    told = sum(
        1 if isinstance(given, str) else len(given)
        for name, given in variables.items()
        if "quiet" not in name
    )

    # Besides those of the owner, nobody and Prometheus.
    assert f" {told + 2} receivers" in _check(Role(**variables).configuration(tmp_path))


def test_people_and_webhooks_get_resolved_alerts(tmp_path: Path) -> None:
    configuration = yaml.safe_load(Role(**EVERYBODY).configuration(tmp_path).read_text())
    resolved = {
        receiver["name"]: entry.get(
            "send_resolved", True
        )  # Alertmanager's default, except for mail and Slack
        for receiver in configuration["receivers"]
        for kind, entries in receiver.items()
        if kind.endswith("_configs")
        for entry in entries
    }

    assert [name for name, told in resolved.items() if not told] == ["restart-1", "deadman-1"]


@pytest.mark.parametrize(
    ("receiver", "sent"),
    [
        (EVERYBODY["alertmanager_email"][0], ("owner@example.org", "owner@example.org", True)),
        (
            EVERYBODY["alertmanager_email"][0] | {"from": "a@b.example"},
            ("owner@example.org", "a@b.example", True),
        ),
        (RELAY, (None, "alertmanager@home.arpa", False)),
    ],
    ids=["login", "sender", "relay"],
)
def test_mail_is_sent_as_the_owner_says(receiver: dict[str, Any], sent: tuple[Any, ...]) -> None:
    configuration = yaml.safe_load(Role(alertmanager_email=[receiver]).files()["alertmanager.yml"])
    (mail,) = (each["email_configs"][0] for each in configuration["receivers"] if "email_configs" in each)

    assert (mail["to"], mail["smarthost"]) == (receiver["to"], receiver["smarthost"])
    assert (mail.get("auth_username"), mail["from"], mail["require_tls"]) == sent
    assert ("auth_password_file" in mail) is ("username" in receiver)


def test_the_configuration_contains_no_secret(tmp_path: Path) -> None:
    configuration = Role(**EVERYBODY).configuration(tmp_path)

    assert "secret" not in configuration.read_text()
    assert {path.name for path in tmp_path.iterdir() if "secret" in path.read_text()} == {
        "deadman-1.url",
        "discord-1.url",
        "email-1.password",
        "msteams-1.url",
        "ntfy-1.token",
        "pushover-1.token",
        "pushover-1.user_key",
        "slack-1.url",
        "telegram-1.token",
        "webhook-1.token",
    }


@pytest.mark.parametrize(
    ("hours", "times"),
    [
        ("22:00-07:00", [("22:00", "24:00"), ("00:00", "07:00")]),
        ("22:00-00:00", [("22:00", "24:00")]),
        ("13:00-14:30", [("13:00", "14:30")]),
    ],
)
def test_quiet_hours_may_span_midnight(tmp_path: Path, hours: str, times: list[tuple[str, str]]) -> None:
    configuration = Role(
        alertmanager_quiet_hours=hours, alertmanager_time_zone="Europe/Berlin"
    ).configuration(tmp_path)
    (interval,) = _quiet_hours(configuration)

    assert [(each["start_time"], each["end_time"]) for each in interval["times"]] == times
    assert interval["location"] == "Europe/Berlin"
    _check(configuration)


def test_the_disk_cleanup_is_notified_with_its_token(tmp_path: Path) -> None:
    (tmp_path / "disk_cleanup.token").write_text("the-token\n")
    files = Role(disk_cleanup_enabled=True, homeserver_secrets_dir=str(tmp_path)).files()

    assert files["automation-1.token"] == "the-token"
    assert files["automation-1.url"] == "http://receiver.disk-cleanup:8080/alerts"
