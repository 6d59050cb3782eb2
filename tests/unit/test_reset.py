"""What is asked before everything is deleted; no host is reached."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
NOWHERE = {"ansible_host": "127.0.0.1", "ansible_port": 1}


def test_nothing_is_deleted_until_each_machine_is_named(tmp_path: Path) -> None:
    groups = {"control_plane": {"hosts": {"home": NOWHERE}}, "workers": {"hosts": {"attic": NOWHERE}}}
    tree = {"all": {"children": {"home_servers": {"children": groups}}}}
    (tmp_path / "hosts.yml").write_text(json.dumps(tree))
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [program, "-i", str(tmp_path), "playbooks/reset.yml", "-e", "microk8s_confirm_removal=home"]
    environment = {**os.environ, "COLUMNS": "1000"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "would delete everything on attic" in done.stdout
    assert "-e microk8s_confirm_removal=home,attic" in done.stdout
    assert "unreachable=1" not in done.stdout
