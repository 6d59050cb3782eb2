"""Run the Molecule scenarios on one machine, which site.yml converges once.

The verifiers of all roles run on it. A role's own converge, idempotence and dry run are part of
`molecule test -s ROLE`; here those of site.yml cover them.
"""

from collections.abc import Iterator

import pytest

from harness.scenario import Scenario

pytestmark = pytest.mark.scenario

# In this order, other tests run while alerts take minutes to fire and to resolve, and while Elasticsearch is
# down. The logs come last, because their tests leave some alerts firing for a while.
VERIFIERS = (
    "prometheus/tests/test_prometheus.py",
    "prometheus/tests/test_alert_drills.py",
    "microk8s",
    "prometheus/tests/test_alert_drills_fired.py",
    "traefik",
    "welcome",
    "apps/tests/test_apps.py",
    "apps/tests/test_imported.py",
    "grafana",
    "prometheus/tests/test_alert_drills_over.py",
    "incident/tests/test_incident.py",
    "tracing",
    "elk/tests/test_elasticsearch.py",
    "elk/tests/test_shipping.py",
    "elk/tests/test_outage.py",
    "firewall",
    "elk/tests/test_outage_over.py",
    "elk/tests/test_showing.py",
    "incident/tests/test_incident_over.py",
)
HOUSE = Scenario("house")


@pytest.fixture(scope="module", autouse=True)
def machine() -> Iterator[None]:
    """A new machine."""
    with HOUSE.created(("molecule", "create"), ("molecule", "destroy")):
        yield


def test_site() -> None:
    HOUSE.run("molecule", "test", "--destroy=never", "-s", "site")


def test_every_role() -> None:
    HOUSE.verify(*VERIFIERS)


def test_chaos() -> None:
    """A few faults. Two lanes have all of them, and a third one power cuts."""
    HOUSE.verify("chaos", marked="often")


def test_options() -> None:
    HOUSE.verify("options")
