"""What is asked before everything is deleted; no host is reached."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
NOWHERE = {"ansible_host": "127.0.0.1", "ansible_port": 1}


def _reset(tmp_path: Path, *variables: str) -> str:
    """Run the playbook, which must fail before it reaches a host; return what it says."""
    groups = {"control_plane": {"hosts": {"home": NOWHERE}}, "workers": {"hosts": {"attic": NOWHERE}}}
    tree = {"all": {"children": {"home_servers": {"children": groups}}}}
    (tmp_path / "hosts.yml").write_text(json.dumps(tree))
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [program, "-i", str(tmp_path), "playbooks/reset.yml"]
    environment = {**os.environ, "COLUMNS": "1000"}
    done = subprocess.run(
        [*command, *(part for variable in variables for part in ("-e", variable))],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "unreachable=1" not in done.stdout
    return done.stdout


def test_nothing_is_deleted_until_each_machine_is_named(tmp_path: Path) -> None:
    said = _reset(tmp_path, "microk8s_confirm_removal=home")

    assert "would delete everything on attic" in said
    assert "-e microk8s_confirm_removal=home,attic" in said


def test_nothing_is_deleted_until_it_is_clear_what_becomes_of_volumes(tmp_path: Path) -> None:
    said = _reset(tmp_path, "microk8s_confirm_removal=home,attic", "volumes=drop")

    assert "volumes is drop -> one of: keep, delete" in said
