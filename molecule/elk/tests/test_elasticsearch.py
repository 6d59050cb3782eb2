"""Elasticsearch is healthy, only accepts its clients, is maintained, and rejects invalid settings."""

import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from harness.home import Home, Kubectl, eventually
from harness.logs import Logs

CONVERGE = f"{os.environ.get('MOLECULE_SCENARIO_DIRECTORY', Path(__file__).parents[1])}/converge.yml"
ALIASES = {"logs-traefik", "logs-app", "logs-kubernetes", "logs-host", "logs-invalid"}

# A policy drops packets. Any other failure is one of the test.
CONNECT = """
import socket
try:
    socket.create_connection(("elasticsearch.logging", 9200), timeout=5)
except TimeoutError:
    print("dropped")
"""


@pytest.fixture
def run(kubectl: Kubectl) -> Any:
    """Run a CronJob now, and return its result."""
    started: list[str] = []

    def now(name: str) -> dict[str, Any]:
        job = f"test-{uuid.uuid4().hex[:8]}"
        started.append(job)
        kubectl(f"-n logging create job {job} --from=cronjob/{name}")
        status: dict[str, Any] = {}

        def ended() -> bool:
            status.update(kubectl.get(f"-n logging job {job}")["status"])
            return bool(status.get("succeeded") or status.get("failed"))

        assert eventually(ended, 120), status
        return status

    yield now
    for job in started:
        kubectl(f"-n logging delete job {job} --ignore-not-found")


def test_it_is_green_and_each_alias_has_a_write_index(logs: Logs) -> None:
    written = [
        alias
        for index in logs.ask("_alias/logs-*").values()
        for alias, what in index["aliases"].items()
        if what.get("is_write_index")
    ]

    assert logs.ask("_cluster/health")["status"] == "green"
    assert sorted(written) == sorted(ALIASES)


def test_the_kernel_allows_its_memory_maps(host: Host) -> None:
    assert int(host.check_output("cat /proc/sys/vm/max_map_count")) >= 262144


def test_other_pods_cannot_reach_it(kubectl: Kubectl) -> None:
    output = kubectl(f"-n apps exec deployment/hello -- python3 -c '{CONNECT}'")

    assert output.strip() == "dropped"


def test_retention_runs(logs: Logs, run: Any) -> None:
    assert run("logstore-retain").get("succeeded") == 1
    left = logs.ask("logstore/_doc/retention")["_source"]

    assert left["failures"] == []
    assert 0 < left["bytes"] < left["limit_bytes"]


def test_a_snapshot_can_be_created(logs: Logs, run: Any) -> None:
    assert run("logstore-snapshot").get("succeeded") == 1
    (*_, last) = logs.ask("_snapshot/home/_all")["snapshots"]

    assert last["state"] == "SUCCESS"
    assert any(index.startswith("logs-") for index in last["indices"])


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"elk_mappings_extra": {"logs-app": {"order": {"type": "keywrd"}}}},
            "elk_mappings_extra of logs-app: ",
        ),
        ({"elk_processors_extra": [{"st": {"field": "a"}}]}, "No processor type exists with name [st]"),
    ],
    ids=["a field's type", "a processor"],
)
def test_an_invalid_setting_is_reported_and_nothing_is_changed(
    home: Home, kubectl: Kubectl, variables: dict[str, Any], message: str
) -> None:
    before = kubectl.get("-n logging secret logstore")["metadata"]["resourceVersion"]
    done = home.play(CONVERGE, "-e", json.dumps(variables))

    assert done.returncode != 0
    assert message in done.stdout
    assert "changed=0" in done.stdout
    assert kubectl.get("-n logging secret logstore")["metadata"]["resourceVersion"] == before
