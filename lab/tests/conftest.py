import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MACHINES = Path("/var/tmp/homeserver-lab-tests")
Lab = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def lab_directory(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate lab for the tests, because other machines may run on this host."""
    # Real machines share one directory, where the next run finds the remains of a killed one.
    directory = MACHINES if request.node.get_closest_marker("machine") else tmp_path / "lab"
    monkeypatch.setenv("HOMESERVER_LAB_DIR", str(directory))
    monkeypatch.setenv("HOMESERVER_LAB_BRIDGE", "labtest0")
    monkeypatch.setenv("HOMESERVER_LAB_SUBNET", "10.214.0.0/24")
    return directory


@pytest.fixture
def lab(lab_directory: Path) -> Iterator[Lab]:
    """Run `python -m lab`, and remove remaining machines at the end."""
    yield run_lab
    for record in lab_directory.glob("*/"):
        run_lab("down", "--name", record.name)


def run_lab(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-m", "lab", *arguments],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or not done.returncode, done.stderr
    return done
