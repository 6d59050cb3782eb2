"""A home of two machines goes up by one minor version, one after the other, while clients use it."""

import subprocess
import time
from contextlib import suppress

import pytest

from bench.page import row
from harness.home import Home, eventually
from harness.machines import Machines, changes
from harness.repeatedly import repeatedly
from harness.traffic import steady_traffic
from harness.upgrade import GROUP, Outage, install_earlier, note, versions
from lab.catalogue.programs import KUBERNETES

UPGRADE = "MicroK8s upgrade by a minor version, on two machines"
FOUNDER, WORKER = "molecule", "molecule-2"


@pytest.fixture(scope="module")
def machines(home: Home) -> Machines:
    """The machines of the home, with its logs."""
    return Machines(home, options=("-e", '{"homeserver_tracing_enabled": false}'))


@pytest.fixture(scope="module")
def places(home: Home, machines: Machines) -> set[frozenset[str]]:
    """Upgrade both under load; return on which machines the app's pods were together."""
    install_earlier(machines)
    machines.up(2)
    install_earlier(machines)
    machines.kubectl("-n apps rollout restart deployment/hello")
    machines.kubectl("-n apps rollout status deployment/hello --timeout=180s")
    seen: set[frozenset[str]] = set()

    def look() -> None:
        with suppress(AssertionError, subprocess.SubprocessError):  # the API is away for some seconds
            seen.add(frozenset(machines.pods("apps", "hello").values()))

    look()
    assert seen == {frozenset({FOUNDER, WORKER})}
    hello = f"https://hello.{home.domain}/"
    api = Outage(home)
    with steady_traffic(hello, home.ca, clients=2) as answers, repeatedly(api.look, 0.2), repeatedly(look, 1):
        began = time.monotonic()
        machines.play("playbooks/microk8s.yml")
        seconds = time.monotonic() - began
    note(
        row(GROUP, UPGRADE, seconds, "s"),
        row(GROUP, f"{UPGRADE}: failed requests", answers.total() - answers["200"], ""),
        row(GROUP, f"{UPGRADE}: API outage", api.seconds, "s"),
    )
    return seen


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_the_pods_of_each_move_to_the_other_first(places: set[frozenset[str]]) -> None:
    assert {frozenset({FOUNDER}), frozenset({WORKER})} <= places


@pytest.mark.usefixtures("places")
def test_both_have_the_new_version_and_pods(machines: Machines) -> None:
    assert versions(machines) == {KUBERNETES}
    assert machines.ready() == {FOUNDER, WORKER}
    assert not [name for name, node in machines.nodes().items() if node["spec"].get("unschedulable")]


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize("name", [FOUNDER, WORKER])
def test_both_serve(machines: Machines, name: str) -> None:
    assert eventually(lambda: machines.ask(name) == "200", seconds=30)


@pytest.mark.usefixtures("places")
def test_a_second_run_changes_nothing(machines: Machines) -> None:
    machines.play("site.yml")

    assert set(changes(machines.play("site.yml")).values()) == {0}
