"""The machine that scenarios run on."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import lan
from tests.support.roles import ROOT

LAB = Path(os.environ.get("HOMESERVER_LAB_DIR", "/var/lib/homeserver-lab"))


def run(*command: str, **environment: str) -> None:
    """Run a command that must succeed."""
    plain = {"MOLECULE_COMMAND_BORDERS": "false"}
    subprocess.run(command, cwd=ROOT, env=os.environ | plain | environment, check=True)


def verify(*names: str) -> None:
    """Run these tests on the machine as it is."""
    inventory = LAB / "molecule/inventory"
    options = ["--hosts=control_plane", "--connection=ansible", f"--ansible-inventory={inventory}"]
    run("pytest", "-v", "--durations=20", *options, *(f"molecule/{name}" for name in names))


@contextmanager
def created() -> Iterator[None]:
    """Remove what a killed run left, and create a machine until the end. A server on its LAN listens."""
    run("molecule", "destroy")
    run("molecule", "create")
    with lan.serving():
        yield
    run("molecule", "destroy")
