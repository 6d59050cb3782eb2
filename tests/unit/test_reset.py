"""What is asked before everything is deleted; no host is reached."""

import json
from pathlib import Path
from typing import Any

from ansible_collections.homeserver.stack.plugins.module_utils.components import components, secret_files

from harness import rendering
from harness.manifests import APPLIED, write_secrets
from harness.playbooks import play

ROOT = Path(__file__).parent.parent.parent
NOWHERE = {"ansible_host": "127.0.0.1", "ansible_port": 1}


def _reset(tmp_path: Path, *variables: str) -> str:
    """Run the playbook, which must fail before it reaches a host; return what it says."""
    groups = {"control_plane": {"hosts": {"home": NOWHERE}}, "workers": {"hosts": {"attic": NOWHERE}}}
    tree = {"all": {"children": {"home_servers": {"children": groups}}}}
    (tmp_path / "hosts.yml").write_text(json.dumps(tree))
    given = (part for variable in variables for part in ("-e", variable))
    done = play("-i", str(tmp_path), "playbooks/reset.yml", *given)
    assert done.returncode == 2
    assert "unreachable=1" not in done.stdout
    return done.stdout


def test_nothing_is_deleted_until_each_machine_is_named(tmp_path: Path) -> None:
    said = _reset(tmp_path, "microk8s_confirm_removal=home")

    assert "would delete everything on attic" in said
    assert "-e microk8s_confirm_removal=home,attic" in said


def test_nothing_is_deleted_until_it_is_clear_what_becomes_of_volumes(tmp_path: Path) -> None:
    said = _reset(tmp_path, "microk8s_confirm_removal=home,attic", "volumes=drop")

    assert "volumes is drop -> one of: keep, delete" in said


def _removed(home: Path) -> dict[str, dict[str, Any]]:
    """Return the result of each component in a dry run of the removal. There is no cluster."""
    (home / "inventory").mkdir()
    (home / "inventory/hosts.yml").write_text(rendering.INVENTORY)
    done = play(
        *("--check", "-i", str(home / "inventory"), "playbooks/stages/remove_workloads.yml"),
        ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {
        task["task"]["name"].partition(" : ")[0].removeprefix("homeserver.stack."): result
        for play in json.loads(done.stdout)["plays"]
        for task in play["tasks"]
        for result in task["hosts"].values()
        if "created" in result
    }


def test_every_component_is_removed_with_its_secrets(tmp_path: Path) -> None:
    directory = tmp_path / "secrets/home"
    write_secrets(directory)
    for file in [file for role in components() for file in secret_files(role)]:
        (directory / file).touch()  # also certificates
    removed = _removed(tmp_path)

    assert set(removed) == set(APPLIED)
    assert {role for role, result in removed.items() if result["created"]} == set()
    assert {role for role, result in removed.items() if result["changed"]} == {
        role for role in APPLIED if "secrets" in components()[role]
    }
