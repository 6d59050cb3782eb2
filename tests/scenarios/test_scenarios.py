"""Run the Molecule scenarios on one machine, which site.yml converges once.

The verifiers of all roles run on it. A role's own converge, idempotence and dry run are part of
`molecule test -s ROLE`; here those of site.yml cover them.
"""

from collections.abc import Iterator

import pytest

from tests.support.scenario import LAB, created, run, verify

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


@pytest.fixture(scope="module", autouse=True)
def machine() -> Iterator[None]:
    """A new machine."""
    with created():
        yield


def test_site() -> None:
    run("molecule", "test", "--destroy=never", "-s", "site")


def test_every_role() -> None:
    verify(*VERIFIERS)


def test_kubernetes_apply_on_a_real_cluster() -> None:
    kubeconfig = LAB / "molecule/.kube/molecule.yaml"
    run("pytest", "-n", "5", "tests/integration", KUBECONFIG=str(kubeconfig))


def test_without_logs() -> None:
    run("molecule", "test", "--destroy=never", "-s", "without_logs")


def test_addresses() -> None:
    verify("addresses")


def test_arguments() -> None:
    verify("arguments")


def test_everything_is_removed() -> None:
    run("molecule", "test", "--destroy=never", "-s", "removal")


def test_pulling() -> None:
    run("molecule", "test", "--destroy=never", "-s", "pull")
