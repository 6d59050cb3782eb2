"""Run the scenarios of Molecule, one after the other on one machine.

Each begins with what it says it needs, whatever the one before it left.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.static.roles import ROOT

pytestmark = pytest.mark.scenario


def _molecule(*arguments: str) -> None:
    plain = os.environ | {"MOLECULE_COMMAND_BORDERS": "false"}
    subprocess.run(["molecule", *arguments], cwd=ROOT, env=plain, check=True)


@pytest.fixture(scope="module", autouse=True)
def machine() -> Iterator[None]:
    """No machine before that a killed run may have left, and none after."""
    _molecule("destroy")
    _molecule("create")
    yield
    _molecule("destroy")


@pytest.mark.parametrize(
    "scenario",
    [
        "microk8s",
        "traefik",
        "flask_app",
        "prometheus",
        "elk",
        "tracing",
        "grafana",
        "incident",
        "site",
    ],
)
def test_scenario(scenario: str, capfd: pytest.CaptureFixture[str]) -> None:
    with capfd.disabled():  # it takes minutes: let them be seen passing
        _run(scenario)


def test_kubernetes_apply_on_a_real_cluster(capfd: pytest.CaptureFixture[str]) -> None:
    lab = Path(os.environ.get("HOMESERVER_LAB_DIR", "/var/lib/homeserver-lab"))
    environment = os.environ | {"KUBECONFIG": str(lab / "molecule/.kube/molecule.yaml")}
    with capfd.disabled():
        subprocess.run(["pytest", "-n", "5", "tests/integration"], cwd=ROOT, env=environment, check=True)


def test_all_is_taken_away(capfd: pytest.CaptureFixture[str]) -> None:
    with capfd.disabled():
        _run("removal")


def _run(scenario: str) -> None:
    _molecule("prepare", "--force", "-s", scenario)
    _molecule("test", "--destroy=never", "-s", scenario)
