"""Which machines a run changes whose --limit leaves some out."""

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PLAY = {
    "hosts": "control_plane[0]",
    "gather_facts": False,
    "roles": ["homeserver.stack.common"],
    "tasks": [{"ansible.builtin.debug": {"msg": "{{ homeserver_targeted_hosts | join(' ') }}"}}],
}


@pytest.mark.parametrize(
    ("limit", "machines"),
    [([], "home attic cellar"), (["--limit", "!attic"], "home cellar"), (["--limit", "home"], "home")],
)
def test_a_machine_that_is_left_out_is_left_alone(tmp_path: Path, limit: list[str], machines: str) -> None:
    """Also by the plays of the founder, which prepare the others."""
    (tmp_path / "play.yml").write_text(json.dumps([PLAY]))
    command = ["ansible-playbook", "-i", "tests/inventories/several", *limit, str(tmp_path / "play.yml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert f"msg: {machines}\n" in done.stdout, done.stdout + done.stderr
