"""Another project installs the collection and runs its playbooks by name with its own inventory."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_build import Image

from harness import collection
from harness.collection import Project
from harness.roles import ROOT
from lab.catalogue import pinned_versions

HOME = {
    "ansible_host": "192.168.1.10",
    "ansible_connection": "local",
    "ansible_python_interpreter": sys.executable,
    "ansible_become": False,
    # The only problem that this machine has wherever the test runs.
    "preflight_memory_mib": 10**9,
}
SOURCES = ("app", "images/devices", "images/disk_cleanup", "images/door", "images/logstore", "images/welcome")
WHERE = [
    {
        "hosts": "control_plane",
        "gather_facts": False,
        "roles": ["homeserver.stack.common"],
        "tasks": [
            {
                "ansible.builtin.copy": {
                    "content": "{{ [homeserver_secrets_dir, homeserver_kubeconfig, homeserver_versions] }}",
                    "dest": "{{ homeserver_state_dir }}/where.json",
                    "mode": "0600",
                }
            }
        ],
    }
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """An empty directory with the collection, and an inventory of this machine."""
    directory = tmp_path_factory.mktemp("project")
    installed = collection.install(collection.build(tmp_path_factory.mktemp("archive")), directory)
    (directory / "my/inventory").mkdir(parents=True)
    groups = {"control_plane": {"hosts": {"home": HOME}}, "workers": {"hosts": {}}}
    hosts = {"all": {"children": {"home_servers": {"children": groups}}}}
    (directory / "my/inventory/hosts.yml").write_text(json.dumps(hosts))
    return installed


@pytest.fixture
def refused(project: Project, request: pytest.FixtureRequest) -> str:
    """The output of a run that preflight stops."""
    run = project.play(*request.param)
    assert run.returncode == 2, run.stdout + run.stderr
    return run.stdout + run.stderr


@pytest.mark.parametrize(
    "refused", [("stages.preflight",), ("site", "--check")], indirect=True, ids=["preflight", "site"]
)
def test_preflight_ends_the_run_with_its_own_message(refused: str) -> None:
    assert re.search(r"problems?, nothing was changed\.", refused)
    assert "home: too little memory" in refused
    assert set(re.findall(r"failed=(\d+)", refused)) == {"0", "1"}
    assert not re.search(r"Traceback|not found|is missing|\[WARNING\]: (?!home: )", refused)


def test_preflight_names_a_python_package_that_is_missing(project: Project) -> None:
    without = "import sys; sys.modules['kubernetes'] = None; from ansible.cli.playbook import main; main()"
    run = project.run(
        sys.executable, "-c", without, "homeserver.stack.stages.preflight", "-i", "my/inventory"
    )

    assert "control machine: the Python package kubernetes is missing -> pip install" in run.stdout
    assert "Traceback" not in run.stdout + run.stderr


def test_a_configuration_that_believes_machines_is_refused(project: Project) -> None:
    run = project.run(
        "ansible-playbook",
        "homeserver.stack.stages.preflight",
        "-i",
        "my/inventory",
        ANSIBLE_INJECT_FACT_VARS="true",
    )

    assert "control machine: inject_facts_as_vars is true in Ansible's configuration" in run.stdout


@pytest.mark.parametrize("playbook", ["traefik", "run_apps", "logging", "tracing", "monitoring", "status"])
def test_a_dry_run_of_each_stage_finds_all_its_files(project: Project, playbook: str) -> None:
    run = project.play(playbook if playbook == "status" else f"stages.{playbook}", "--check")

    assert run.returncode == 0, run.stdout + run.stderr
    assert "Traceback" not in run.stdout + run.stderr


def test_a_reset_requires_the_hosts_name(project: Project) -> None:
    run = project.play("reset", "-e", "microk8s_confirm_removal=yes")

    assert run.returncode == 2
    assert "-> if this is intended: -e microk8s_confirm_removal=home" in run.stdout
    assert set(re.findall(r"changed=(\d+)", run.stdout)) == {"0"}


def test_secrets_and_kubeconfig_are_beside_the_inventory(project: Project) -> None:
    (project.path / "where.yml").write_text(yaml.safe_dump(WHERE))
    run = project.run("ansible-playbook", "-i", "my/inventory", "where.yml")
    assert run.returncode == 0, run.stdout + run.stderr
    secrets, kubeconfig, versions = json.loads((project.path / "my/where.json").read_text())

    assert secrets == str(project.path / "my/secrets/home")
    assert kubeconfig == str(project.path / "my/.kube/home.yaml")
    assert versions == pinned_versions()


def test_it_can_be_installed_from_git(project: Project, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    _commit_tree(repository)
    wanted = {"collections": [{"name": repository.as_uri(), "type": "git", "version": "HEAD"}]}
    (tmp_path / "requirements.yml").write_text(yaml.safe_dump(wanted))
    (tmp_path / "ansible.cfg").write_text("[defaults]\ncollections_path = collections\n")
    cloned = Project(tmp_path)
    command = ["ansible-galaxy", "collection", "install", "--no-deps", "-r", "requirements.yml"]
    run = cloned.run(*command)

    assert run.returncode == 0, run.stdout + run.stderr
    assert _files(cloned) == _files(project)


def _commit_tree(repository: Path) -> None:
    """Make a repository of the files that are here, also those that are not committed yet."""
    committer = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init"], ["add", "--all"], [*committer, "commit", "--message", "all"]):
        git = ["git", f"--git-dir={repository}", f"--work-tree={ROOT}"]
        subprocess.run([*git, *command], check=True, capture_output=True)


def _files(project: Project) -> dict[str, bytes]:
    return {
        str(path.relative_to(project.installed)): path.read_bytes()
        for path in project.installed.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("source", SOURCES)
def test_an_image_is_built_from_the_same_sources(project: Project, source: str) -> None:
    here, there = (
        Image("image", root / source, "python:3.11", "linux/amd64", root / "images")
        for root in (ROOT, project.installed)
    )

    assert there.revision == here.revision
