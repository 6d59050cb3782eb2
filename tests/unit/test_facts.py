"""What a machine of the home tells about itself is no setting."""

import json
import os
import subprocess
import sys
from pathlib import Path

from harness.roles import ROOT

# As a module can answer that a machine has replaced.
LIAR = f"""#!{sys.executable}
import json
print(json.dumps({{"changed": False, "ansible_facts": {{"homeserver_control_plane": "attic"}}}}))
"""


def test_a_machine_sets_no_variable_by_calling_it_a_fact(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library/liar.py").write_text(LIAR)
    (tmp_path / "hosts.yml").write_text("all: {vars: {homeserver_control_plane: home}, hosts: {attic: }}")
    told = {"ansible.builtin.debug": {"msg": "founder: {{ homeserver_control_plane }}"}}
    play = {"hosts": "attic", "connection": "local", "tasks": [{"liar": None}, told]}
    (tmp_path / "play.yml").write_text(json.dumps([play]))

    done = subprocess.run(
        ["ansible-playbook", "--inventory", str(tmp_path / "hosts.yml"), str(tmp_path / "play.yml")],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "founder: home" in done.stdout, done.stdout + done.stderr
