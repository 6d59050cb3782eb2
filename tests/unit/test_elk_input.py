"""Settings that Elasticsearch cannot work with are reported in one message, before anything is applied."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.elk_role import Role
from harness.rendering import ROOT

TASKS = {"name": "homeserver.stack.elk", "tasks_from": "check"}
KERNEL = [
    {
        "hosts": "control_plane[0]",
        "gather_facts": False,
        "tasks": [{"ansible.builtin.include_role": TASKS}],
    }
]


def _run(
    directory: Path, playbook: object, *words: str, **variables: Any
) -> subprocess.CompletedProcess[str]:
    file = directory / "playbook.yml"
    file.write_text(json.dumps(playbook))
    command = ["ansible-playbook", "-i", "tests/inventories/defaults", str(file), *words]
    command += ["-e", json.dumps({"homeserver_state_dir": str(directory)} | variables)]
    environment = os.environ | {"COLUMNS": "1000"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("wanted", "status"), [(1, 0), (1 << 31, 2)])
def test_a_too_low_kernel_limit_is_reported(tmp_path: Path, wanted: int, status: int) -> None:
    done = _run(tmp_path, KERNEL, ansible_connection="local", _elk_map_count=wanted)

    assert done.returncode == status, done.stdout
    assert ("vm.max_map_count is too low on home" in done.stdout) == (status == 2)


def test_only_hosts_on_which_the_run_found_enough_are_not_asked(tmp_path: Path) -> None:
    limits = {"home": "262144", "low": "65530", "high": "1048576"}
    known: dict[str, Any] = {
        name: {"_microk8s_info": {"sysctl": {"vm.max_map_count": limit}}} for name, limit in limits.items()
    }
    known |= {"failed": {"_microk8s_info": {"failed": True}}, "unread": {}}
    hosts = {name: {"inventory_hostname": name, **facts} for name, facts in known.items()}
    groups = {"control_plane": ["home"], "home_servers": list(hosts)}

    role = Role(tmp_path, groups=groups, hostvars=hosts)

    assert role.value("_elk_has_enough") == ["home", "high"]


def test_removal_leaves_no_password(tmp_path: Path) -> None:
    role = Role(tmp_path)
    passwords = role.value("_elk_passwords")
    made = {path.name for path in (tmp_path / "secrets/home").iterdir()}

    assert len(made) == len(passwords)
    assert made <= set(role.value("_elk_secret_files"))
