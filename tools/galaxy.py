"""Check what is published with Galaxy's own tools: `python -m tools.galaxy ENVIRONMENT`.

They are ansible-test's sanity tests and galaxy-importer. Neither needs a network.
"""

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import collection
from harness.roles import ROOT

# Ruff, mypy and yamllint ask more than these do.
SKIPPED = ("pep8", "pylint", "yamllint")
# ansible-test would download a script of this name to get pip.
GET_PIP = ".ansible/test/cache/get_pip_24_2.py"
# Ansible-lint runs on its own; Docker has nothing that is not here.
IMPORTER = "[galaxy-importer]\nrun_ansible_lint = False\nrun_ansible_test = False\n"


def main(environment: Path) -> int:
    """Return 0 if both are content; they print what they are not content with."""
    with TemporaryDirectory() as directory:
        archive = collection.build(Path(directory))
        home = _home(environment)
        # Whichever fails, the other one says what it thinks.
        return max([_sanity(archive, environment, home), _import(archive, environment, home)])


def _home(environment: Path) -> dict[str, str]:
    """Return variables of a home directory in which pip installs only what the environment has.

    It stays, for ansible-test keeps environments of its own there.
    """
    directory = environment / "home"
    files = {
        GET_PIP: "import ensurepip\nensurepip.bootstrap()\n",
        ".config/pip/pip.conf": f"[global]\nno-index = true\nfind-links = {environment}/wheels\n",
        "galaxy-importer.cfg": IMPORTER,
    }
    for name, text in files.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return {"HOME": str(directory), "GALAXY_IMPORTER_CONFIG": str(directory / "galaxy-importer.cfg")}


def _sanity(archive: Path, environment: Path, home: dict[str, str]) -> int:
    installed = archive.parent / "ansible_collections/homeserver/stack"
    with tarfile.open(archive) as tar:
        tar.extractall(installed, filter="data")
    (installed / "tests").mkdir()
    (installed / "tests/sanity").symlink_to(ROOT / "tests/sanity")
    skipped = [argument for name in SKIPPED for argument in ("--skip-test", name)]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return subprocess.run(
        [f"{environment}/bin/ansible-test", "sanity", "--python", version, *skipped],
        cwd=installed,
        env=_path(environment) | home,
        check=False,
    ).returncode


def _import(archive: Path, environment: Path, home: dict[str, str]) -> int:
    command = [f"{environment}/bin/python", "-m", "galaxy_importer.main", str(archive)]
    done = subprocess.run(
        command,
        cwd=archive.parent,
        env=_path(environment) | home,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    said = [line for line in done.stdout.splitlines() if not line.startswith("Loading ")]
    sys.stdout.write("\n".join([*said, ""]))
    # It goes on after most errors.
    return done.returncode or int(any(line.startswith(("ERROR", "WARNING")) for line in said))


def _path(environment: Path) -> dict[str, str]:
    """Return the variables of a process that finds the environment's programs first."""
    return os.environ | {"PATH": f"{environment}/bin:{os.environ['PATH']}"}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))
