"""An action runs a module on another host, with the variables of that host."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from harness.roles import ROOT

ACTION = """
from ansible.plugins.action import ActionBase
from ansible_collections.homeserver.stack.plugins.plugin_utils.other_host import run_on


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        given = dict(self._task.args)
        result = run_on(self, "other", given["module"], given["arguments"], task_vars, dry=given["dry"])
        return {"said": result}
"""


def _run(
    directory: Path, module: str, arguments: dict[str, object], *, dry: bool = False
) -> dict[str, object]:
    (directory / "try_on.py").write_text(ACTION)
    task = {"try_on": {"module": module, "arguments": arguments, "dry": dry}, "when": "true"}
    play = {"hosts": "one", "gather_facts": False, "tasks": [task]}
    (directory / "play.yml").write_text(yaml.safe_dump([play]))
    hosts = {
        "one": {"ansible_connection": "ssh", "ansible_host": "192.0.2.1"},
        "other": {
            "ansible_connection": "{{ how }}",
            "how": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
        },
    }
    (directory / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    done = subprocess.run(
        ["ansible-playbook", "-i", f"{directory}/hosts.yml", f"{directory}/play.yml"],
        cwd=ROOT,
        env=os.environ
        | {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_ACTION_PLUGINS": str(directory)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    result = json.loads(done.stdout[done.stdout.index("{\n") :])["plays"][0]["tasks"][0]["hosts"]["one"]
    said: dict[str, object] = result["said"]
    return said


def test_a_module_runs_with_the_connection_of_the_other_host(tmp_path: Path) -> None:
    said = _run(tmp_path, "ansible.builtin.command", {"argv": ["echo", "hello"]})

    assert (said["stdout"], said["changed"]) == ("hello", True)


def test_in_a_dry_run_it_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    said = _run(tmp_path, "ansible.builtin.copy", {"content": "x", "dest": str(file)}, dry=True)

    assert said["changed"]
    assert not file.exists()


def test_a_failure_is_a_result(tmp_path: Path) -> None:
    volume = f"{tmp_path}/nowhere/volume"
    said = _run(tmp_path, "homeserver.stack.volume_copies", {"volumes": [volume], "state": "present"})

    assert said["failed"]
    assert "No such file or directory" in str(said["msg"])
