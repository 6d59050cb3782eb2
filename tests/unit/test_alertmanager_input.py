"""What is wrong with a receiver is told in one message, without its secret, before anything is applied."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import wrong_values

from tests.unit.alertmanager_role import EVERYBODY, ROLE
from tests.unit.rendering import ROOT

SECRETS = {
    "alertmanager_ntfy": "url",
    "alertmanager_pushover": "user_key",
    "alertmanager_telegram": "token",
    "alertmanager_email": "password",
    "alertmanager_slack": "url",
    "alertmanager_discord": "url",
    "alertmanager_msteams": "url",
    "alertmanager_webhook": "url",
}
PLAYBOOK = [{"hosts": "control_plane[0]", "gather_facts": False, "roles": ["homeserver.stack.alertmanager"]}]


@pytest.mark.parametrize(("variable", "secret"), SECRETS.items())
def test_a_receiver_without_its_secret_is_refused(variable: str, secret: str) -> None:
    options = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"][
        "options"
    ]
    complete = EVERYBODY[variable]
    lacking = [{key: value for key, value in complete[0].items() if key != secret}]

    assert list(wrong_values({variable: complete}, {"alertmanager": options})) == []
    (problem,) = wrong_values({variable: lacking}, {"alertmanager": options})

    assert secret in problem.wrong
    assert variable in problem.wrong


def _refusal(directory: Path, **variables: Any) -> str:
    """Run the role with these variables, which must fail, and return what is printed."""
    playbook = directory / "playbook.yml"
    playbook.write_text(json.dumps(PLAYBOOK))
    command = ["ansible-playbook", "-vv", "--check", "-i", "tests/inventories/defaults", str(playbook)]
    command += ["-e", json.dumps({"homeserver_state_dir": str(directory)} | variables)]
    environment = os.environ | {"COLUMNS": "1000"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout
    assert "changed=0" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout


def test_an_address_that_is_none_is_told_but_not_shown(tmp_path: Path) -> None:
    said = _refusal(
        tmp_path,
        alertmanager_slack=[{"url": "https://hooks.example/ok"}, {"url": "hooks.example/not-to-be-seen"}],
        alertmanager_email=[{"to": "owner@example.org", "smarthost": "smtp.example.org"}],
    )

    assert "email-1, slack-2 cannot be reached at the address given" in said
    assert "not-to-be-seen" not in said


def test_an_empty_secret_is_told(tmp_path: Path) -> None:
    said = _refusal(tmp_path, alertmanager_telegram=[{"chat_id": 5, "token": ""}])

    assert "telegram-1.token must not be empty" in said


@pytest.mark.parametrize("hours", ["22-7", "24:00-07:00", "22:00-07:00-", "22:00-22:00"])
def test_quiet_hours_that_are_none_are_told(tmp_path: Path, hours: str) -> None:
    assert f"alertmanager_quiet_hours: {hours} is not a time of the day" in _refusal(
        tmp_path, alertmanager_quiet_hours=hours
    )
