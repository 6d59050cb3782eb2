"""Which secrets playbooks/rotate.yml replaces, what it refuses, and how Grafana gets its new password."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.components import (
    components,
    secrets,
    unrotatable_secrets,
)

from harness import rendering
from harness.manifests import APPLIED, SECRETS
from harness.playbooks import play
from harness.rendering import ROOT, Role

ROTATED = secrets()
LASTING = unrotatable_secrets()
HOME: dict[str, Any] = {
    "disk_cleanup_enabled": True,
    "homeserver_built_images": {
        "homeserver-logstore": "a:1",
        "homeserver-disk-cleanup": "b:1",
        "homeserver-welcome": "c:1",
    },
}
READING = tuple(role for role in APPLIED if role != "apps")  # which needs what an owner's apps say


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with one secret, and no cluster."""
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/hosts.yml").write_text(rendering.INVENTORY)
    (tmp_path / "secrets/home").mkdir(parents=True)
    (tmp_path / "secrets/home/grafana_admin.password").write_text("the one of before\n")
    return tmp_path


def _play(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return play("-i", str(home / "inventory"), "playbooks/rotate.yml", *arguments)


def _refused(home: Path, *variables: str) -> str:
    """Run the playbook, which must fail and change nothing; return what it prints."""
    run = _play(home, *(part for variable in variables for part in ("-e", variable)))
    assert run.returncode == 2, run.stdout + run.stderr
    assert "changed=0" in run.stdout
    assert [path.name for path in (home / "secrets/home").iterdir()] == ["grafana_admin.password"]
    assert (home / "secrets/home/grafana_admin.password").read_text() == "the one of before\n"
    return " ".join(run.stdout.split())


def test_every_generated_secret_is_replaced_or_says_why_not() -> None:
    files = {file for secret in ROTATED.values() for file in secret["files"]}
    passwords = {file for file in files if not file.endswith((".crt", ".key")) or file in SECRETS}
    lasting = {file for file in SECRETS if Path(file).stem in LASTING}
    assert {Path(file).stem for file in lasting} == set(LASTING)
    assert passwords | lasting == set(SECRETS)
    assert {file.partition(".")[2] for file in files - passwords} == {"crt", "key"}


@pytest.mark.parametrize("role", READING)
def test_a_secret_reaches_every_role_that_uses_it(tmp_path: Path, role: str) -> None:
    """What a role reads, it makes in an empty directory."""
    reading = Role(role, tmp_path, **HOME)
    reading.objects()

    made = {path.name for path in (tmp_path / "secrets/home").glob("*")}
    declared = {
        file
        for owner, each in components().items()
        for name, secret in each.get("secrets", {}).items()
        if role in (owner, *secret.get("used_by", [])) and name in ROTATED
        for file in ROTATED[name]["files"]
    }
    # Alertmanager reads the token that disk_cleanup makes. The action issues the certificate of welcome.
    assert made or not declared or role in ("alertmanager", "welcome")
    assert made - declared - {f"{name}.key" for name in LASTING} == set()


def test_its_playbooks_are_all_run() -> None:
    stages = (ROOT / "playbooks/stages/apply_rotated.yml").read_text()
    run = re.findall(r"import_playbook: (\w+).yml\n  when: \"'(\w+)' in", stages)

    assert {name for name, condition in run if name == condition} == {
        name for secret in ROTATED.values() for name in secret["stages"]
    }


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ([], "secret= is none -> one of disk_cleanup, elasticsearch_certificate"),
        (["secret=grafana"], "secret=grafana is none -> one of disk_cleanup, "),
        (["secret=grafana_encryption"], "secret=grafana_encryption cannot be rotated: Grafana knows one key"),
        (["secret=grafana_admin", "step=finish"], "it has no steps -> leave step out"),
        (["secret=ca", "step=finish"], "no next authority is ready -> first -e secret=ca"),
        (["secret=ca", "step=end"], "no next authority is ready -> first -e secret=ca"),
        (["secret=grafana_admin"], "does not exist, so there is no cluster"),
    ],
    ids=["none", "unknown", "lasting", "without steps", "too early", "unknown step", "no cluster"],
)
def test_what_cannot_be_replaced_is_refused(home: Path, variables: list[str], message: str) -> None:
    assert message in _refused(home, *variables)


def test_only_what_uses_it_is_applied(home: Path) -> None:
    """A dry run needs no cluster."""
    run = _play(home, "--check", "-e", "secret=grafana_admin", "-e", '{"homeserver_logging_enabled": false}')
    assert run.returncode == 0, run.stdout + run.stderr
    applied = re.findall(
        r"^TASK \[homeserver\.stack\.(\w+) : Run .*\n(?:\[.*\n)*(\w+): ", run.stdout, re.MULTILINE
    )

    # The last two times are for another authority, of which nothing is made or replaced.
    assert "Replace its key and its certificate" not in run.stdout
    outcomes = re.findall(r"^TASK \[(.*authority.*)\] .*\n(?:\[.*\n)*(\w+): ", run.stdout, re.MULTILINE)
    assert {task: outcome for task, outcome in outcomes if "homeserver" not in task} == dict.fromkeys(
        (
            "Create the next authority",
            "Make the next authority the current one",
            "Stop trusting the previous authority",
            "Remove the previous authority",
        ),
        "skipping",
    )
    assert {state for _, state in applied[len(READING) :]} == {"skipping"}
    stages = ROTATED["grafana_admin"]["stages"]
    assert dict(applied[: len(READING)]) == {
        role: "changed" if components()[role]["stage"] in stages else "skipping" for role in READING
    } | {"disk_cleanup": "ok"}  # which is off
    assert re.findall(r"^changed: .*item=(\S+)\)", run.stdout, re.MULTILINE) == [
        str(home / "secrets/home/grafana_admin.password")
    ]
    assert (home / "secrets/home/grafana_admin.password").read_text() == "the one of before\n"


def test_what_the_founder_keeps_for_the_backup_is_replaced_as_well(home: Path) -> None:
    options = {
        "homeserver_logging_enabled": False,
        "backup_repositories": [{"name": "nas", "location": str(home)}],
    }
    run = _play(home, "--check", "-e", "secret=grafana_admin", "-e", json.dumps(options))
    assert run.returncode == 0, run.stdout + run.stderr

    after = run.stdout.partition("Remove the secret, so that the next run generates a new one")[2]
    assert re.search(
        r"Keep an encrypted copy of inventory and secrets.*\n(?:\[.*\n)*changed: \[home\]", after
    )


class Pod:
    """The init container of Grafana's pod, with a `grafana` that notes what it is asked."""

    def __init__(self, directory: Path) -> None:
        self.data, self.secrets, self._asked = directory / "data", directory / "secrets", directory / "asked"
        for each in (self.data, self.secrets, directory / "bin"):
            each.mkdir()
        program = directory / "bin/grafana"
        program.write_text(f'#!/bin/sh\necho "$*: $(cat)" >>{self._asked}\nexit "${{FAILS:-0}}"\n')
        program.chmod(0o755)
        (self.secrets / "secret_key").write_text("a-key")
        self._path = f"{directory}/bin:{os.environ['PATH']}"

    def start(self, password: str, *, fails: bool = False) -> tuple[int, list[str]]:
        """Run it; return its exit code and what Grafana was asked."""
        (self.secrets / "admin_password").write_text(password)
        self._asked.write_text("")
        home = {"GF_PATHS_HOME": "/home", "GF_PATHS_CONFIG": "/grafana.ini", "GF_PATHS_DATA": str(self.data)}
        script = ROOT / "roles/grafana/files/admin-password.sh"
        run = subprocess.run(
            ["sh", str(script), str(self.secrets)],
            env={"PATH": self._path, "FAILS": str(int(fails)), **home},
            check=False,
        )
        return run.returncode, self._asked.read_text().splitlines()


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    """A pod that has not started yet."""
    return Pod(tmp_path)


RESET = "cli --homepath /home --config /grafana.ini admin reset-admin-password --password-from-stdin: "


def test_grafana_makes_its_database_with_the_password(pod: Pod) -> None:
    assert pod.start("first") == (0, [])
    (pod.data / "grafana.db").touch()
    # What its owner has changed in the browser stays.
    assert pod.start("first") == (0, [])


def test_a_new_password_is_given_to_grafana_once(pod: Pod) -> None:
    pod.start("first")
    (pod.data / "grafana.db").touch()

    assert pod.start("second") == (0, [f"{RESET}second"])
    assert pod.start("second") == (0, [])
    assert (pod.data / "admin-password.sha256").stat().st_mode & 0o077 == 0


def test_a_password_that_grafana_does_not_take_is_given_again(pod: Pod) -> None:
    pod.start("first")
    (pod.data / "grafana.db").touch()

    assert pod.start("second", fails=True) == (1, [f"{RESET}second"])
    assert pod.start("second") == (0, [f"{RESET}second"])


def test_an_older_home_starts_without_the_first_user(pod: Pod) -> None:
    (pod.data / "grafana.db").touch()

    assert pod.start("first", fails=True) == (0, [f"{RESET}first"])
    assert pod.start("first") == (0, [])
