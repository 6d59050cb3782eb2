"""What templates use is loaded before the first task, not by each task's process."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from harness.roles import ROOT

# What a filter imports.
IMPORTED = "ansible_collections.homeserver.stack.plugins.module_utils.preflight.kibana_objects"
PLAY = [
    {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [{"name": "Print", "ansible.builtin.debug": {"msg": "{{ {} | homeserver.stack.flags }}"}}],
    }
]


@pytest.mark.parametrize("arguments", [["--list-tasks"], []], ids=["no task", "a task"])
def test_filters_are_loaded_by_the_run_itself(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "play.yml").write_text(yaml.safe_dump(PLAY))
    # Python tells what this process imports, not what its tasks' do: Ansible closes their stderr.
    run = subprocess.run(
        ["ansible-playbook", "-i", "localhost,", *arguments, str(tmp_path / "play.yml")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout
    assert run.stderr.count(IMPORTED) == (not arguments)
