"""A route's host name becomes a probe; nothing else of what its author writes gets into the configuration."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.rendering import Role

HOSTILE = [
    'x.example", target: "http://evil.example/',
    "x.example}, evil: {a",
    "x.example\n      - targets: [evil.example]",
    "x.example\n",
    "-x.example",
    "x..example",
    "{{ lookup('pipe', 'id') }}",
    "a" * 64 + ".example",
]


def _probes(state: Path, *hosts: str) -> list[dict[str, Any]]:
    routes = [{"match": f"Host(`{host}`) && PathPrefix(`/`)"} for host in hosts]
    return _of(state, [{"spec": {"routes": routes}}])


def _of(state: Path, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    role = Role("prometheus", state, _prometheus_routes=found, prometheus_gateway_address="")
    configuration = yaml.safe_load(role.value("_prometheus_configuration"))
    (job,) = [job for job in configuration["scrape_configs"] if job["job_name"] == "probe"]
    targets: list[dict[str, Any]] = job["static_configs"]
    return targets


# A name that YAML would take for something else stays a name.
@pytest.mark.parametrize("host", ["nas.example.org", "no", "1.5"])
def test_a_host_name_is_probed(tmp_path: Path, host: str) -> None:
    url = f"https://{host}/"
    labels = {"module": "host", "host": host, "instance": host, "target": url}

    assert {"targets": ["https://traefik.traefik.svc/"], "labels": labels} in _probes(tmp_path, host)


def test_a_host_is_probed_at_its_shortest_path(tmp_path: Path) -> None:
    matches = [f"Host(`nas.example.org`) && PathPrefix(`{path}`)" for path in ("/files/a", "/files")]
    found = [{"spec": {"routes": [{"match": match}]}} for match in matches]

    (probe,) = (each for each in _of(tmp_path, found) if each["labels"].get("host") == "nas.example.org")
    assert probe["targets"] == ["https://traefik.traefik.svc/files"]
    assert probe["labels"]["target"] == "https://nas.example.org/files"


@pytest.mark.parametrize("host", HOSTILE)
def test_what_is_no_host_name_changes_nothing(tmp_path: Path, host: str) -> None:
    assert _probes(tmp_path, host) == _probes(tmp_path)
