"""Images are built for the machine that they run on."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from harness.rendering import ROOT, Role

PLAY = {
    "hosts": "home",
    "gather_facts": False,
    "tasks": [
        {
            "ansible.builtin.include_role": {"name": "homeserver.stack.common", "tasks_from": "images"},
            "vars": {"common_component": "grafana"},
        },
        {"ansible.builtin.debug": {"var": "ansible_facts.architecture"}},
    ],
}


@pytest.mark.parametrize(("machine", "expected"), [("aarch64", "linux/arm64"), ("x86_64", "linux/amd64")])
def test_the_default_is_the_servers(tmp_path: Path, machine: str, expected: str) -> None:
    role = Role("common", tmp_path, ansible_facts={"architecture": machine})

    assert role.value("homeserver_platform") == expected


def test_the_servers_is_known_before_a_build(tmp_path: Path) -> None:
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    groups = {name: {"hosts": {"home": here}} for name in ("control_plane", "home_servers")}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"children": groups}}))
    (tmp_path / "play.yml").write_text(json.dumps([PLAY]))
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [program, "-i", str(tmp_path / "hosts.json"), str(tmp_path / "play.yml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"ansible_facts.architecture: {platform.machine()}" in done.stdout
