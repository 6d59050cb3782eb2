"""What the tasks of roles and playbooks may do on the control machine."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from harness.roles import ROOT

# These run in Ansible's own process, whatever is said of root and Python.
ACTIONS = {f"homeserver.stack.{path.stem}" for path in (ROOT / "plugins/action").glob("*.py")}
FILES = sorted([*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/**/*.yml")])
Task = dict[str, Any]


def _tasks(entries: list[Task], inherited: Task) -> Iterator[Task]:
    """Return the tasks of a file with what their plays and blocks give them."""
    for entry in entries:
        known = inherited | entry | {"vars": inherited.get("vars", {}) | entry.get("vars", {})}
        inner = [task for part in ("tasks", "block", "rescue", "always") for task in entry.get(part, [])]
        if inner:
            kept: Task = {key: known[key] for key in ("become", "delegate_to", "vars") if key in known}
            yield from _tasks(inner, kept)
        else:
            yield known


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_becomes_root_on_the_control_machine(file: Any) -> None:
    """There it has the owner's rights, and Ansible's own Python, which has what modules import."""
    for task in _tasks(yaml.safe_load(file.read_text()) or [], {}):
        if task.get("delegate_to") == "localhost" and not ACTIONS & task.keys():
            assert task.get("become") is False, task["name"]
            assert task["vars"].get("ansible_python_interpreter") == "{{ ansible_playbook_python }}", task[
                "name"
            ]
