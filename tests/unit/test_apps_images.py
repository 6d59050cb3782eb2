"""An app from a git repository is built from what its branch has, and of that only what it names."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from harness import playbooks

PLAY = [
    {
        "hosts": "control_plane",
        "gather_facts": False,
        "roles": ["homeserver.stack.common"],
        "tasks": [
            {"ansible.builtin.import_role": {"name": "homeserver.stack.apps", "tasks_from": "images"}},
            {
                "ansible.builtin.debug": {
                    "msg": "{{ query('homeserver.stack.images', 'apps') | map(attribute='reference') }}"
                },
                "when": "homeserver_enabled.apps",
            },
        ],
    }
]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a Dockerfile in a directory."""
    directory = tmp_path / "repository"
    (directory / "server").mkdir(parents=True)
    (directory / "server/Dockerfile").write_text("FROM $BASE")
    _git(directory, "init", "--initial-branch=main")
    _commit(directory)
    return directory


def _git(directory: Path, *command: str) -> None:
    who = ("-c", "user.name=Owner", "-c", "user.email=owner@example.org")
    subprocess.run(["git", *who, *command], cwd=directory, check=True, capture_output=True)


def _commit(directory: Path) -> None:
    _git(directory, "add", ".")
    _git(directory, "commit", "--message=more")


@pytest.fixture
def dry_run(tmp_path: Path, repository: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A dry run, which builds nothing."""
    git = {"url": repository.as_uri(), "ref": "main", "directory": "server"}
    variables = {"apps": [{"name": "shop", "git": git}]}
    (tmp_path / "inventory").mkdir()
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {"home": here | variables}
    groups = {"control_plane": {"hosts": hosts}}
    tree = {"all": {"children": {"home_servers": {"children": groups}}}}
    (tmp_path / "inventory/hosts.yml").write_text(json.dumps(tree))
    (tmp_path / "play.yml").write_text(yaml.safe_dump(PLAY))

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        files = (str(tmp_path / "inventory"), str(tmp_path / "play.yml"))
        return playbooks.play("--check", *more, "-i", *files, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")

    return run


@pytest.fixture
def reference(dry_run: Callable[[], subprocess.CompletedProcess[str]]) -> Callable[[], str]:
    """What the dry run says that the image is called."""

    def run() -> str:
        done = dry_run()
        assert done.returncode == 0, done.stdout + done.stderr
        tasks = json.loads(done.stdout[done.stdout.index("{\n") :])["plays"][0]["tasks"]
        result = tasks[-1]["hosts"]["home"]
        return str(*result["msg"])

    return run


def test_a_commit_makes_a_new_image_if_it_changes_what_is_built(
    repository: Path, reference: Callable[[], str], tmp_path: Path
) -> None:
    first = reference()
    assert (tmp_path / ".cache/sources/shop/server/Dockerfile").is_file()
    (repository / "README").write_text("beside it")
    _commit(repository)
    assert reference() == first

    (repository / "server/program").write_text("new")
    _commit(repository)
    assert reference() != first


def test_a_directory_that_leads_out_of_its_repository_is_refused(
    repository: Path, dry_run: Callable[[], subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/Dockerfile").write_text("FROM $BASE")
    _git(repository, "rm", "-r", "server")
    (repository / "server").symlink_to(tmp_path / "other")
    _commit(repository)
    done = dry_run()

    assert done.returncode != 0
    wrong = f"app shop: git.directory leads to {tmp_path}/other, which is not in its repository -> "
    assert wrong in done.stdout


def test_a_removed_app_is_not_cloned(
    dry_run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = dry_run("-e", "apps_state=absent")

    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / ".cache/sources").exists()


def test_this_projects_own_app_is_built_in_the_background_as_well(
    dry_run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Where a role is included, its variables refer to defaults that nothing else sees."""
    included = {"name": "homeserver.stack.apps", "tasks_from": "images"}
    play = PLAY[0] | {"tasks": [{"ansible.builtin.include_role": included}]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    done = dry_run("-e", json.dumps({"apps": ["{{ flask_app_hello }}"]}))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "localhost/hello" in done.stdout
