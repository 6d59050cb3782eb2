"""A second run of site.yml changes nothing and restarts nothing, and its summary is correct.

It is run from the collection, installed in a separate project, while the first run was one of the checkout.
"""

import json
import re
import shutil
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from testinfra.host import Host

from harness import collection
from harness.collection import Project
from harness.home import Home, Kubectl


def _starts(host: Host, kubectl: Kubectl) -> dict[str, Any]:
    """Return the start time of each MicroK8s service, and of each container of every pod."""
    units = host.check_output("systemctl show 'snap.microk8s.*' --property=Id,ActiveEnterTimestampMonotonic")
    pods = {
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": [
            status["state"] for status in pod["status"]["containerStatuses"]
        ]
        for pod in kubectl.get("pods -A")["items"]
        # A CronJob starts its pods on schedule.
        if not any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", []))
    }
    return {"units": units, "pods": pods}


@dataclass(frozen=True)
class Run:
    """A second run of site.yml."""

    project: Project
    output: str
    before: dict[str, Any]
    after: dict[str, Any]


@pytest.fixture(scope="module")
def again(home: Home, host: Host, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The second run, without any change."""
    archive = collection.build(tmp_path_factory.mktemp("archive"))
    project = collection.install(archive, tmp_path_factory.mktemp("project"))
    shutil.copytree(home.inventory, project.path / "my/inventory")
    for state in (".cache", ".kube", "secrets"):
        shutil.copytree(home.inventory.parent / state, project.path / "my" / state)
    before = _starts(host, kubectl)
    run = project.play("site")
    assert run.returncode == 0, run.stdout + run.stderr
    return Run(project, run.stdout, before, _starts(host, kubectl))


def test_changes_nothing(again: Run) -> None:
    assert set(re.findall(r"changed=(\d+)", again.output)) == {"0"}, again.output


def test_restarts_nothing(again: Run) -> None:
    assert again.after == again.before


def test_the_summary_has_version_url_health_and_credentials(again: Run, home: Home) -> None:
    version = home.versions["images"]["traefik"].rpartition(":")[2]
    (row,) = re.findall(rf".*https://traefik\.{re.escape(home.domain)}/.*", again.output)

    assert version in row
    assert "healthy" in row
    assert str(again.project.path / f"my/secrets/{home.name}/traefik_dashboard.password") in row


def test_the_summary_fails_when_something_is_unhealthy(home: Home, kubectl: Kubectl) -> None:
    kubectl(f"cordon {home.name}")
    try:
        kubectl("-n traefik delete pod -l app.kubernetes.io/name=whoami")
        run = home.play("playbooks/status.yml")
    finally:
        kubectl(f"uncordon {home.name}")
        kubectl("-n traefik rollout status deployment/whoami --timeout=60s")

    assert run.returncode != 0
    assert re.search(r"Not healthy:.*whoami: ", run.stdout, re.DOTALL), run.stdout


def test_the_status_is_told_to_programs(home: Home) -> None:
    run = home.play("playbooks/status.yml", "-e", "format=json")
    (line,) = (line for line in run.stdout.splitlines() if line.startswith("{"))
    status = json.loads(line)

    assert run.returncode == 0, run.stdout
    assert (status["healthy"], status["unhealthy"]) == (True, [])
    assert {"traefik", "grafana", "elasticsearch"} <= {part["name"] for part in status["components"]}
    assert [node["name"] for node in status["nodes"]] == [home.name]
    assert "changed=0" in run.stdout


def test_every_name_responds(home: Home) -> None:
    urls = [f"https://{name}.{home.domain}/" for name in ("hello", "whoami")]

    # The second asks for a password.
    assert [requests.get(url, verify=home.ca, timeout=10).status_code for url in urls] == [200, 401]
