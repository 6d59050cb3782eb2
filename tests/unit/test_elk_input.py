"""What Elasticsearch could not do with what is set is told in one message, before anything is applied."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.elk_role import Role
from tests.unit.rendering import ROOT

PLAYBOOK = [{"hosts": "control_plane[0]", "gather_facts": False, "roles": ["homeserver.stack.elk"]}]
TASKS = {"name": "homeserver.stack.elk", "tasks_from": "check_kernel"}
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


def _refusal(directory: Path, **variables: Any) -> str:
    """Run the role with these variables, which must fail, and return what is printed."""
    done = _run(directory, PLAYBOOK, "--check", **variables)
    assert done.returncode == 2, done.stdout
    assert "changed=0" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"elk_elasticsearch_heap_mib": 2000},
            "elk_elasticsearch_heap_mib is 2000, and elk_elasticsearch_memory_limit_mib is 2048: the heap",
        ),
        ({"elk_elasticsearch_heap_mib": 64}, "the heap has to be at least 128 MiB"),
        (
            {"elk_retention_size_gib": 20},
            "elk_retention_size_gib is 20, and elk_elasticsearch_volume_size_gib is 20: what is kept",
        ),
        ({"homeserver_storage_budget_gib": 1}, "what is kept has to be at least 1 GiB"),
        (
            {"elk_elasticsearch_volume_size_gib": 50},
            "are 57 GiB together, and homeserver_storage_budget_gib is 40. Set smaller volumes",
        ),
        ({"elk_retention_days": 0}, "have to be at least 1"),
        ({"elk_elasticsearch_replicas": 3}, "elk_snapshots_kept is 3, and elk_elasticsearch_replicas is 3"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, variables: dict[str, Any], message: str) -> None:
    assert message in _refusal(tmp_path, **variables)


@pytest.mark.parametrize(("wanted", "status"), [(1, 0), (1 << 31, 2)])
def test_a_kernel_that_allows_too_little_is_told(tmp_path: Path, wanted: int, status: int) -> None:
    done = _run(tmp_path, KERNEL, ansible_connection="local", _elk_map_count=wanted)

    assert done.returncode == status, done.stdout
    assert ("vm.max_map_count is too low on home" in done.stdout) == (status == 2)


def test_taken_away_it_leaves_no_password(tmp_path: Path) -> None:
    role = Role(tmp_path)
    passwords = role.value("_elk_passwords")
    made = {path.name for path in (tmp_path / "secrets/home").iterdir()}

    assert len(made) == len(passwords)
    assert made <= set(role.value("_elk_secret_files"))
