"""What an owner may get wrong is told before anything is applied: by the role itself, in a dry run."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def complaint(tmp_path: Path) -> Callable[..., str]:
    """Run the role with these variables, which it must refuse; give what it prints."""
    play = {"hosts": "control_plane[0]", "gather_facts": False, "roles": ["homeserver.stack.prometheus"]}
    (tmp_path / "play.yml").write_text(json.dumps([play]))

    def run(**variables: Any) -> str:
        command = ["ansible-playbook", "--check", "-i", "tests/inventories/defaults"]
        extra = json.dumps({"homeserver_state_dir": str(tmp_path), **variables})
        environment = os.environ | {"COLUMNS": "1000"}
        done = subprocess.run(
            [*command, "-e", extra, str(tmp_path / "play.yml")],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2, done.stdout
        assert "Traceback" not in done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"prometheus_scrape_configs": [{"job_name": "nas"}, {"job_name": "nas"}]},
            "there is another job called nas",
        ),
        ({"prometheus_scrape_configs": [{"job_name": "node"}]}, "there is another job called node"),
        (
            {"prometheus_retention_size_gib": 20, "prometheus_volume_size_gib": 10},
            "prometheus_retention_size_gib is 20, and prometheus_volume_size_gib is 10: what is kept has",
        ),
        ({"homeserver_storage_budget_gib": 2}, "prometheus_retention_size_gib is 0, and"),
        ({"prometheus_rules_extra": ["/nowhere.yml"]}, "there is no file /nowhere.yml on the control"),
        ({"prometheus_alert_thresholds": {"no_such": 1}}, "no_such"),
        ({"prometheus_probes": [{"target": "192.168.1.2", "module": "gopher"}]}, "gopher"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:30],
)
def test_a_mistake_is_told(complaint: Any, variables: dict[str, Any], message: str) -> None:
    assert message in complaint(**variables)
