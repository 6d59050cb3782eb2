"""Run the Molecule scenarios on one machine, which site.yml converges once.

The verifiers of all roles run on it. A role's own converge, idempotence and dry run are part of
`molecule test -s ROLE`; here those of site.yml cover them.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import lan
from tests.support.roles import ROOT

pytestmark = pytest.mark.scenario

# In this order, other tests run while alerts take minutes to resolve. The logs come last, because their tests
# leave some alerts firing for a while.
VERIFIERS = (
    "prometheus/tests/test_prometheus.py",
    "prometheus/tests/test_alert_drills.py",
    "microk8s",
    "firewall",
    "traefik",
    "flask_app",
    "grafana",
    "prometheus/tests/test_alert_drills_over.py",
    "incident/tests/test_incident.py",
    "tracing",
    "elk",
    "incident/tests/test_incident_over.py",
)
# A new home grows, lives through power cuts, and shrinks.
OF_SEVERAL = tuple(
    f"cluster/tests/test_{part}.py" for part in ("joining", "monitoring", "workloads", "power", "leaving")
)
LAB = Path(os.environ.get("HOMESERVER_LAB_DIR", "/var/lib/homeserver-lab"))


def _run(*command: str, **environment: str) -> None:
    plain = {"MOLECULE_COMMAND_BORDERS": "false"}
    subprocess.run(command, cwd=ROOT, env=os.environ | plain | environment, check=True)


@pytest.fixture(scope="module", autouse=True)
def machine() -> Iterator[None]:
    """Remove the machine of a killed run before, and the machine afterwards."""
    _run("molecule", "destroy")
    _run("molecule", "create")
    with lan.serving():
        yield
    _run("molecule", "destroy")


def test_site() -> None:
    _run("molecule", "test", "--destroy=never", "-s", "site")


def _verify(*names: str) -> None:
    """Run these tests on the machine as it is."""
    inventory = LAB / "molecule/inventory"
    options = ["--hosts=control_plane", "--connection=ansible", f"--ansible-inventory={inventory}"]
    _run("pytest", "-v", "--durations=20", *options, *(f"molecule/{name}" for name in names))


def test_every_role() -> None:
    _verify(*VERIFIERS)


def test_kubernetes_apply_on_a_real_cluster() -> None:
    kubeconfig = LAB / "molecule/.kube/molecule.yaml"
    _run("pytest", "-n", "5", "tests/integration", KUBECONFIG=str(kubeconfig))


def test_without_logs() -> None:
    _run("molecule", "test", "--destroy=never", "-s", "without_logs")


def test_addresses() -> None:
    _verify("addresses")


def test_arguments() -> None:
    _verify("arguments")


def test_everything_is_removed() -> None:
    _run("molecule", "test", "--destroy=never", "-s", "removal")


def test_pulling() -> None:
    _run("molecule", "test", "--destroy=never", "-s", "pull")


def test_several_machines() -> None:
    _run("molecule", "destroy")
    _run("molecule", "create")
    _verify(*OF_SEVERAL)
