"""Scenarios can use a machine of the developer. They remove neither the machine nor its inventory."""

import os
import subprocess
from pathlib import Path

import pytest

from harness.home import ROOT, Home


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a developer exports. Where nothing listens, so that only files tell."""
    (tmp_path / "own.yml").write_text("homeserver_domain: example.org\n")
    return {
        "HOMESERVER_LAB_DIR": str(tmp_path / "lab"),
        "HOMESERVER_SCENARIO_ADDRESS": "127.0.0.2",
        "HOMESERVER_SCENARIO_KEY": "~/key",
        "HOMESERVER_SCENARIO_MACHINE": "ubuntu",
        "HOMESERVER_SCENARIO_USER": "vagrant",
        "HOMESERVER_SCENARIO_VARIABLES": str(tmp_path / "own.yml"),
        "MOLECULE_PROJECT_DIRECTORY": str(ROOT),
    }


def test_it_is_described_and_not_removed(tmp_path: Path, environment: dict[str, str]) -> None:
    command = ["ansible-playbook", "molecule/default/create.yml", "molecule/default/destroy.yml"]
    subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=True)
    home = Home.of(str(tmp_path / "lab/ubuntu/inventory"))

    assert (home.name, home.address, home.domain) == ("ubuntu", "127.0.0.2", "example.org")
    assert home.variables["ansible_user"] == "vagrant"
    assert home.variables["ansible_ssh_private_key_file"] == str(Path("~/key").expanduser())
    assert home.variables["_tests"] == home.tests
    assert home.variables["project"] == str(ROOT)
    assert "traefik_routes" in home.variables
