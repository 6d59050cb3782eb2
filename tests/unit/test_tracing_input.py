"""What an owner may get wrong about tracing is told in a dry run, before anything is applied."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.rendering import ROOT

PLAYBOOK = [{"hosts": "control_plane[0]", "gather_facts": False, "roles": ["homeserver.stack.tracing"]}]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"tracing_sample_percent": 101}, "tracing_sample_percent is 101. It is a number from 0 to 100."),
        (
            {"tracing_slow_request_milliseconds": 0},
            "tracing_slow_request_milliseconds is 0. It is a number from 1",
        ),
        ({"tracing_spans_per_second": 0}, "tracing_spans_per_second is 0. It is a number from 1"),
        (
            {"tracing_collector_memory_limit_mib": 64},
            "tracing_collector_memory_limit_mib is 64. It is a number from 128",
        ),
        (
            {"tracing_jaeger_memory_limit_mib": 64},
            "tracing_jaeger_memory_limit_mib is 64. It is a number from 96",
        ),
        (
            {"homeserver_logging_enabled": False, "homeserver_tracing_enabled": True},
            "Set homeserver_logging_enabled to true, or homeserver_tracing_enabled to false.",
        ),
        (
            {"elk_state": "absent"},
            "traces are kept in the Elasticsearch that logs are in, and this home does without",
        ),
        ({"tracing_state": "gone"}, "value of tracing_state must be one of: present, absent, got: gone"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_mistake_is_told(tmp_path: Path, variables: dict[str, Any], message: str) -> None:
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(json.dumps(PLAYBOOK))
    command = ["ansible-playbook", "--check", "-i", "tests/inventories/defaults", str(playbook)]
    command += ["-e", json.dumps({"homeserver_state_dir": str(tmp_path)} | variables)]
    environment = os.environ | {"COLUMNS": "1000"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert message in done.stdout
    assert "changed=0" in done.stdout
