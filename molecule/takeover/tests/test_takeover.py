"""A home that the commit before has installed is taken over: only what this commit changes starts again."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.home import ROOT, Home, Kubectl

WORKLOADS = "deployments,statefulsets,daemonsets"
# The pod of a Job that every run starts to look for a line that it has logged.
ONCE = "arrival-"
# The role of an application that has another name.
ROLES = {"flask_app": "apps"}
# The pods of all roles depend on these files.
SHARED = ("roles/common", "roles/*/files", "images", "app", "plugins/module_utils/kubernetes")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@contextmanager
def _tree(commit: str, directory: Path) -> Iterator[Path]:
    """Check a commit out, with this one's Python."""
    _git("worktree", "add", "--detach", str(directory), commit)
    try:
        (directory / ".venv").symlink_to(ROOT / ".venv")
        yield directory
    finally:
        _git("worktree", "remove", "--force", str(directory))


def _workloads(kubectl: Kubectl) -> dict[str, tuple[str, int]]:
    """Return the application of each workload, and how often its specification has changed."""
    return {
        f"{each['kind']} {each['metadata']['namespace']}/{each['metadata']['name']}": (
            each["metadata"]["labels"].get("app.kubernetes.io/part-of", ""),
            each["metadata"]["generation"],
        )
        for each in kubectl.get(f"{WORKLOADS} -A")["items"]
    }


def _state(kubectl: Kubectl) -> dict[str, Any]:
    return {"workloads": _workloads(kubectl), "containers": kubectl.containers(ONCE)}


@pytest.fixture(scope="module")
def before(home: Home, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Install the home with the commit before; return its workloads and its containers."""
    with _tree("HEAD^", tmp_path_factory.mktemp("before") / "tree") as tree:
        command = ["ansible-playbook", "-i", str(home.inventory), "site.yml"]
        own = os.environ | {"ANSIBLE_CONFIG": str(tree / "ansible.cfg")}
        done = subprocess.run(command, cwd=tree, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    return _state(kubectl)


@pytest.fixture(scope="module")
def after(home: Home, kubectl: Kubectl, before: dict[str, Any]) -> dict[str, Any]:
    """Run this commit on it; return the same."""
    assert before
    done = home.play("site.yml")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    return _state(kubectl)


def test_what_the_commit_does_not_change_stays_as_it_is(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    changed = _git("diff", "--name-only", "HEAD^", "--", *SHARED)
    roles = {file.split("/")[1] for file in _git("diff", "--name-only", "HEAD^", "--", "roles").splitlines()}
    changing = {
        workload
        for workload, (application, generation) in before["workloads"].items()
        if after["workloads"].get(workload) != (application, generation)
    }

    allowed = {
        name
        for name, (application, _) in before["workloads"].items()
        if changed or ROLES.get(application, application) in roles
    }
    assert changing - allowed == set()
    if not changing:
        assert before["containers"] == after["containers"]


def test_the_next_run_changes_nothing(home: Home, after: dict[str, Any]) -> None:
    assert after
    done = home.play("site.yml")

    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    assert f"{home.name} " in done.stdout
    assert "changed=0 " in done.stdout.partition("PLAY RECAP")[2]
