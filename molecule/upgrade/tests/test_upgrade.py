"""MicroK8s goes up by one minor version while clients use the home. What goes wrong leaves it as it was."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from bench.page import row
from harness.chaos import Pages
from harness.database import ask
from harness.home import ROOT, Home, eventually
from harness.machines import Machines, changes
from harness.repeatedly import repeatedly
from harness.traffic import steady_traffic
from harness.upgrade import GROUP, Outage, install_earlier, note, versions
from lab.catalogue.programs import EARLIER_KUBERNETES, KUBERNETES

UPGRADE = "MicroK8s upgrade by a minor version"
BETA = "networking.k8s.io/v1beta1"
# The next version but one does not serve it any more.
SERVED = {"microk8s_extra_apiserver_args": {"--runtime-config": f"{BETA}=true"}}
WRONG = "--no-such-flag"
RANGE = {"apiVersion": BETA, "kind": "ServiceCIDR", "metadata": {"name": "mine"}}
STATE = "/var/lib/homeserver-upgrade"
# Returns once snapd replaces the installed version.
REFRESHING = """for try in $(seq 6000); do
  snap changes | grep -q 'Doing .*microk8s' && exit 0
  sleep 0.1
done
exit 1"""


@pytest.fixture(scope="module")
def machines(home: Home) -> Machines:
    """The machines of the home, with its logs."""
    return Machines(home, options=("-e", '{"homeserver_tracing_enabled": false}'))


@pytest.fixture(scope="module")
def mark(machines: Machines) -> str:
    """Run a home with the earlier version; return what its database keeps."""
    (machines.home.inventory / "group_vars/all/the_owners.yml").write_text(yaml.safe_dump(SERVED))
    install_earlier(machines)
    assert eventually(lambda: "1" in ask(machines.kubectl, "SELECT 1"), 120)
    ask(machines.kubectl, "CREATE TABLE IF NOT EXISTS marks (mark uuid)")
    return ask(machines.kubectl, "INSERT INTO marks VALUES (gen_random_uuid()) RETURNING mark")


def _assert_whole(machines: Machines, mark: str) -> None:
    """Check that all answers, and that nothing is lost or left over."""
    pages = Pages(machines.home)
    assert eventually(lambda: all(not flaw for name, flaw in _flaws(pages).items() if name != "jaeger"), 60)
    assert mark in ask(machines.kubectl, "SELECT mark FROM marks").splitlines()
    assert not machines.host(machines.home.name).file(STATE).exists
    (node,) = machines.nodes().values()
    assert not node["spec"].get("unschedulable")


def _flaws(pages: Pages) -> dict[str, str]:
    pages.look()
    return pages.flaws


def test_a_version_that_does_not_work_is_taken_back(machines: Machines, mark: str) -> None:
    option = "microk8s_extra_kubelet_args"
    wrong = {option: {**machines.home.variables.get(option, {}), WRONG: "1"}}

    said = machines.refused("site.yml", "-e", json.dumps(wrong))

    assert f"{EARLIER_KUBERNETES} runs again, with all that ran before" in said
    assert f"there is no flag {WRONG}" in said
    assert versions(machines) == {EARLIER_KUBERNETES}
    _assert_whole(machines, mark)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_killed_run_is_finished_by_the_next(machines: Machines, mark: str) -> None:
    home = machines.home
    hello = f"https://hello.{home.domain}/"
    api = Outage(home)
    with steady_traffic(hello, home.ca, clients=2) as answers, repeatedly(api.look, 0.2):
        began = time.monotonic()
        command = ["ansible-playbook", "-i", str(home.inventory), *machines.options, "playbooks/microk8s.yml"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True) as run:
            machines.host(home.name).check_output(REFRESHING)
            os.killpg(run.pid, signal.SIGKILL)
        said = machines.play("playbooks/microk8s.yml")
        seconds = time.monotonic() - began

    note(
        row(GROUP, f"{UPGRADE}, on one machine", seconds, "s"),
        row(GROUP, f"{UPGRADE}: failed requests", answers.total() - answers["200"], ""),
        row(GROUP, f"{UPGRADE}: API outage", api.seconds, "s"),
    )
    assert "becomes" not in said
    assert versions(machines) == {KUBERNETES}
    machines.play("site.yml")
    _assert_whole(machines, mark)


def test_a_second_run_changes_nothing(machines: Machines) -> None:
    before = machines.kubectl.containers()

    assert set(changes(machines.play("site.yml")).values()) == {0}
    assert machines.kubectl.containers() == before


def test_a_version_without_an_api_that_is_used_is_refused(machines: Machines, tmp_path: Path) -> None:
    bundle = machines.home.bundle
    assert bundle
    content = json.loads((bundle / "bundle.json").read_text())
    for snap in content["snaps"]:
        snap["version"] = snap["version"].replace(KUBERNETES, "v1.37.0")
    (tmp_path / "bundle.json").write_text(json.dumps(content))
    for folder in ("snaps", "images", "manifests"):
        (tmp_path / folder).symlink_to(bundle / folder)
    machines.kubectl.apply({**RANGE, "spec": {"cidrs": ["10.153.0.0/24"]}})
    before = machines.kubectl.containers()

    said = machines.refused("site.yml", "-e", f"homeserver_bundle={tmp_path}")

    assert f"ServiceCIDR mine ({BETA}, written by kubectl" in said
    assert "Nothing was changed" in said
    assert machines.kubectl.containers() == before
