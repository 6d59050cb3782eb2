"""promtool reads the role's configuration, and with it the owner's jobs, which are in a Secret."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.module_utils.components import components

from harness.programs import promtool
from harness.rendering import Role, find

# Where a pod has the token and the certificate that the configuration names.
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
NAS = {
    "job_name": "nas",
    "file_sd_configs": [{"files": ["nas.yml"]}],
    "basic_auth": {"username": "owner", "password": "hunter2"},
}


OWN = {"prometheus", "alertmanager", "blackbox", "cluster-state", "grafana", "kube-state-metrics"}


def _own_jobs(directory: Path, **variables: Any) -> list[str]:
    """Return the names of the jobs whose pods are in the namespace of Prometheus."""
    role = Role("prometheus", directory, **variables)
    configuration = yaml.safe_load(role.value("_prometheus_configuration"))
    return [
        job["job_name"]
        for job in configuration["scrape_configs"]
        for discovery in job.get("kubernetes_sd_configs", [])
        if discovery.get("namespaces") == {"names": ["monitoring"]}
    ]


def _checked(directory: Path, *jobs: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    role = Role("prometheus", directory, prometheus_scrape_configs=list(jobs))
    files = role.value("_prometheus_files") | role.value("_prometheus_owner_files")
    for name, content in files.items():
        (directory / name).write_text(content.replace(ACCOUNT, str(directory)))
    for name in ("token", "ca.crt"):
        (directory / name).touch()
    (directory / "nas.yml").write_text("- targets: [192.0.2.1:9100]\n")
    command = [str(promtool()), *components()["prometheus"]["check"]["command"][1:]]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("jobs", [[], [NAS]], ids=["none", "one"])
def test_what_an_owner_adds_is_read(tmp_path: Path, jobs: list[dict[str, Any]]) -> None:
    done = _checked(tmp_path, *jobs)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("job", "message"),
    [(NAS | {"no_such": 1}, "field no_such not found"), (NAS | {"job_name": "node"}, 'job name "node"')],
)
def test_a_mistake_in_it_is_told(tmp_path: Path, job: dict[str, Any], message: str) -> None:
    done = _checked(tmp_path, job)

    assert done.returncode == 1
    assert message in done.stdout + done.stderr


def test_a_password_is_in_the_secret_alone(tmp_path: Path) -> None:
    role = Role("prometheus", tmp_path, prometheus_scrape_configs=[NAS])
    objects = role.objects(["configuration.yaml.j2"])

    assert "hunter2" in str(find(objects, "Secret", "prometheus-owner"))
    assert "hunter2" not in str(find(objects, "ConfigMap", "prometheus"))


@pytest.mark.parametrize(
    ("variables", "absent"),
    [
        ({}, {"kube-state-metrics"}),
        ({"prometheus_kube_state_metrics_enabled": True}, set()),
        ({"alertmanager_state": "absent"}, {"alertmanager", "kube-state-metrics"}),
        ({"grafana_state": "absent"}, {"grafana", "kube-state-metrics"}),
    ],
    ids=["defaults", "all", "no alertmanager", "no grafana"],
)
def test_what_runs_beside_prometheus_has_one_job(
    tmp_path: Path, variables: dict[str, Any], absent: set[str]
) -> None:
    jobs = _own_jobs(tmp_path, **variables)

    assert len(jobs) == len({*jobs})
    assert {*jobs} == OWN - absent
