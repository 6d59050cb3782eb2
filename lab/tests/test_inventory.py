import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab import inventory
from lab.machine import Machine

HOME = Machine("home", "nspawn", "10.214.0.2", 22)
ATTIC = Machine("home-2", "nspawn", "10.214.0.3", 22, "home")


def _listed() -> dict[str, Any]:
    program = shutil.which("ansible-inventory")
    assert program
    command = [program, "-i", str(HOME.inventory), "--list"]
    listed: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return listed


def test_ansible_finds_the_machines_and_their_logins(lab_directory: Path) -> None:
    inventory.write([HOME, ATTIC], "homeserver_domain: home.arpa\n")
    found = _listed()
    assert found["control_plane"]["hosts"] == ["home"]
    assert found["workers"]["hosts"] == ["home-2"]
    assert set(found["home_servers"]["children"]) == {"control_plane", "workers"}
    for machine in (HOME, ATTIC):
        server = found["_meta"]["hostvars"][machine.name]
        assert server["ansible_host"] == machine.address
        assert server["ansible_user"] == "root"
        assert server["ansible_ssh_private_key_file"] == str(lab_directory / machine.name / "id_ed25519")
        assert f"{lab_directory / machine.name}/known_hosts" in server["ansible_ssh_common_args"]
        assert "StrictHostKeyChecking=yes" in server["ansible_ssh_common_args"]
        assert server["homeserver_domain"] == "home.arpa"


@pytest.mark.usefixtures("lab_directory")
def test_it_can_be_rewritten_with_other_machines_or_variables() -> None:
    inventory.write([HOME, ATTIC], "homeserver_domain: home.arpa\n")
    inventory.write_hosts([HOME])
    assert "hosts" not in _listed().get("workers", {})
    assert inventory.domain(ATTIC) == "home.arpa"
    inventory.write([HOME], "homeserver_domain: example.org\n")
    assert inventory.domain(HOME) == "example.org"
