"""The collection, built and installed like in another owner's project."""

import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from harness.roles import ROOT


@dataclass(frozen=True)
class Project:
    """An owner's directory with the installed collection, independent of this checkout.

    Its dependencies come with the Python package `ansible`, as for an owner who ran
    `pip install -r requirements.txt`.
    """

    path: Path

    @property
    def installed(self) -> Path:
        """The directory with the collection's files."""
        return self.path / "collections/ansible_collections/homeserver/stack"

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command there, which only sees the project's own configuration."""
        plain = {"ANSIBLE_CONFIG": str(self.path / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "COLUMNS": "1000"}
        return subprocess.run(
            command,
            cwd=self.path,
            env=os.environ | plain | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def play(self, playbook: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the collection's playbooks by name, with the inventory my/inventory."""
        name = f"homeserver.stack.{playbook}"
        return self.run("ansible-playbook", name, "-i", "my/inventory", *arguments)


def build(directory: Path) -> Path:
    """Build the archive that ansible-galaxy publishes."""
    command = ["ansible-galaxy", "collection", "build", "--output-path", str(directory), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (archive,) = directory.glob("homeserver-stack-*.tar.gz")
    return archive


def files(archive: Path) -> set[str]:
    """Return the names of the files and links in an archive."""
    with tarfile.open(archive) as tar:
        return {member.name for member in tar.getmembers() if member.isfile() or member.issym()}


def install(archive: Path, directory: Path) -> Project:
    """Install an archive offline into an empty directory; the caller provides my/inventory."""
    project = Project(directory)
    settings = "[defaults]\ncollections_path = collections\ninject_facts_as_vars = false\n"
    (directory / "ansible.cfg").write_text(settings)
    command = ["ansible-galaxy", "collection", "install", "--offline", "--no-deps", str(archive)]
    done = project.run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    return project
