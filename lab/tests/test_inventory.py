import json
import shutil
import subprocess
from pathlib import Path

from lab import inventory
from lab.machine import Machine

MACHINE = Machine("home", "nspawn", "10.214.0.2", 22)


def test_ansible_finds_the_machine_its_login_and_the_projects_versions(lab_directory: Path) -> None:
    inventory.write(MACHINE, "homeserver_domain: home.arpa\n")
    program = shutil.which("ansible-inventory")
    assert program
    listed = subprocess.run([program, "-i", MACHINE.inventory, "--list"], capture_output=True, check=True)
    found = json.loads(listed.stdout)
    assert found["control_plane"]["hosts"] == ["home"]
    assert set(found["home_servers"]["children"]) >= {"control_plane"}
    server = found["_meta"]["hostvars"]["home"]
    assert server["ansible_host"] == "10.214.0.2"
    assert server["ansible_user"] == "root"
    assert server["ansible_ssh_private_key_file"] == str(lab_directory / "home/id_ed25519")
    assert "StrictHostKeyChecking=yes" in server["ansible_ssh_common_args"]
    assert server["homeserver_domain"] == "home.arpa"
    assert server["homeserver_versions"]["microk8s_channel"]


def test_it_can_be_written_again_with_other_variables(lab_directory: Path) -> None:
    inventory.write(MACHINE, "homeserver_domain: home.arpa\n")
    inventory.write(MACHINE, "homeserver_domain: example.org\n")
    assert inventory.domain(MACHINE) == "example.org"
    assert (lab_directory / "home/inventory/group_vars/all/versions.yml").is_symlink()
