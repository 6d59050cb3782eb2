"""The page that an owner prints, with all that a restore needs."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.module_utils.authority import Authority
from ansible_collections.homeserver.stack.plugins.module_utils.backup.keys import machine_password

from harness import rendering
from harness.playbooks import play
from harness.rendering import Role
from plugins.filter.certificates import fingerprint
from plugins.filter.qr_code import qr_code

PASSWORD = "what-opens-the-backups"
KEY = "<the key & its secret>"
REPOSITORIES: list[dict[str, Any]] = [
    {"name": "disk", "location": "/mnt/backup/home"},
    {"name": "cloud", "location": "s3:https://s3.example.org/home", "environment": {"AWS_SECRET": KEY}},
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An inventory, and the password of its backups."""
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/hosts.yml").write_text(rendering.INVENTORY)
    (tmp_path / "secrets/home").mkdir(parents=True)
    (tmp_path / "secrets/home/backup.password").write_text(f"{PASSWORD}\n")
    return tmp_path


def _play(
    home: Path, repositories: list[dict[str, Any]], *arguments: str
) -> subprocess.CompletedProcess[str]:
    variables = home / "variables.yml"
    variables.write_text(yaml.safe_dump({"backup_repositories": repositories}))
    given = ("--diff", "-v", "-i", str(home / "inventory"), "-e", f"@{variables}")
    return play(*given, *arguments, "playbooks/recovery_sheet.yml")


def test_it_has_the_password_and_every_repository(home: Path) -> None:
    run = _play(home, REPOSITORIES)

    assert run.returncode == 0, run.stdout + run.stderr
    sheet = home / "secrets/home/recovery.html"
    text = sheet.read_text()
    assert f"<code>{PASSWORD}</code>" in text
    assert qr_code(PASSWORD) in text
    assert [each for each in REPOSITORIES if each["location"] not in text] == []
    assert "&lt;the key &amp; its secret&gt;" in text
    assert f"<code>{machine_password(PASSWORD, 'home')}</code>" in text
    assert "<code>s3:https://s3.example.org/home/home</code>" in text
    assert text.count("<svg") == 2  # the password, and the repository that has keys


def test_it_leads_a_new_device_to_the_page_on_which_it_trusts_the_home(home: Path) -> None:
    assert _play(home, REPOSITORIES).returncode == 0
    sheet = home / "secrets/home/recovery.html"
    assert "/trust" not in sheet.read_text()  # there is no authority yet

    authority = Authority.of(Role("certificate_authority", home).value)
    authority.create()
    assert _play(home, REPOSITORIES).returncode == 0
    text = sheet.read_text()
    assert "<code>http://192.0.2.1/trust</code>" in text
    assert qr_code("http://192.0.2.1/trust") in text
    assert f"<code>{fingerprint((home / 'secrets/home/ca.crt').read_text())}</code>" in text

    assert _play(home, REPOSITORIES, "-e", '{"welcome_enabled": false}').returncode == 0
    assert "/trust" not in sheet.read_text()


def test_nobody_else_sees_it(home: Path) -> None:
    run = _play(home, REPOSITORIES)

    assert (home / "secrets/home/recovery.html").stat().st_mode & 0o777 == 0o600
    assert [secret for secret in (PASSWORD, KEY) if secret in run.stdout + run.stderr] == []


def test_without_backups_there_is_none(home: Path) -> None:
    run = _play(home, [])

    assert "backups are off: backup_repositories is empty" in " ".join(run.stdout.split())
    assert not (home / "secrets/home/recovery.html").exists()


def test_each_text_has_its_own_code() -> None:
    assert qr_code("one") != qr_code("two")
