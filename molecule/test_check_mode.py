"""For every scenario: a dry run afterwards reports no change, and prints no secret."""

import os
import re

import pytest

from harness.home import Home


@pytest.fixture(scope="module")
def dry_run(home: Home) -> str:
    """Return the output of the scenario's `ansible-playbook --check --diff`."""
    run = home.play(f"{os.environ['MOLECULE_SCENARIO_DIRECTORY']}/converge.yml", "--check", "--diff")
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_reports_no_change(dry_run: str) -> None:
    recap = re.findall(r"changed=(\d+)", dry_run)

    assert recap, dry_run
    assert set(recap) == {"0"}, dry_run


def test_prints_no_secret(dry_run: str, home: Home) -> None:
    files = [path for path in home.secrets.glob("*") if path.suffix in (".password", ".key")]
    lines = [line for path in files for line in path.read_text().splitlines() if "-----" not in line]

    assert [line for line in lines if line in dry_run] == []
