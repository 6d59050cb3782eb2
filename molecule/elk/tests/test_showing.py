"""What Kibana's dashboards ask is answered by what the home logged, and Prometheus is told how lines fare.

In the lab Kibana itself does not run: its image cannot be had there.
"""

import json
import os
import re
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from tests.home import Home, Kubectl, eventually
from tests.kibana import FILE, Question, questions, read
from tests.logs import Logs

CONVERGE = f"{os.environ.get('MOLECULE_SCENARIO_DIRECTORY', Path(__file__).parents[1])}/converge.yml"
QUESTIONS = list(questions(read()))
SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/17.5 Safari/605.1.15"
)


@pytest.fixture(scope="module")
def _logged(home: Home, kubectl: Kubectl, logs: Logs) -> Iterator[None]:
    """There were visitors, and an app that fails, and writes what cannot be read; a line was refused."""
    for _ in range(3):
        headers = {"User-Agent": SAFARI}
        requests.get(f"https://hello.{home.domain}/", headers=headers, verify=home.ca, timeout=10)
    failed = {
        "level": "error",
        "message": "Exception on / [GET]",
        "service": "shop",
        "stack": "Traceback: no",
        "method": "GET",
        "path": "/",
        "route": "/",
        "status": 500,
        "browser": "safari",
        "trace_id": uuid.uuid4().hex,
        "request_id": uuid.uuid4().hex,
        "duration_ms": 3,
    }
    name = f"shop-{uuid.uuid4().hex[:8]}"
    kubectl.apply(_pod(kubectl, name, [json.dumps(failed), '{"level": "info", "mess']))
    now = datetime.now(UTC).isoformat()
    logs.ask("logs-invalid/_doc", {"@timestamp": now, "message": "{}", "error": {"message": "no"}})
    yield
    kubectl(f"-n default delete pod {name} --wait=false --ignore-not-found")


def _pod(kubectl: Kubectl, name: str, said: list[str]) -> dict[str, object]:
    program = f"print({json.dumps(chr(10).join(said))!s})"
    # It has Python, and is on the machine already.
    image = kubectl.image("apps", "hello")
    container = {"name": "shop", "image": image, "command": ["python3", "-c", program]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }


@pytest.fixture(scope="module")
def answers(_logged: None, logs: Logs) -> dict[Question, bool]:
    """Whether every question has something to show, asked again until all have, or for some minutes."""
    found = dict.fromkeys(QUESTIONS, False)
    deadline = time.monotonic() + 180
    while waiting := [question for question, answered in found.items() if not answered]:
        for question in waiting:
            answer = logs.ask(f"{question.indices}/_search", question.body)
            found[question] = bool(answer["hits"]["total"]["value"] and question.found(answer))
        if time.monotonic() > deadline:
            break
        time.sleep(2)
    return found


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_every_question_of_kibana_is_answered(question: Question, answers: dict[Question, bool]) -> None:
    assert answers[question], question.body


def _page(kubectl: Kubectl, app: str, port: int) -> str:
    """What an app tells Prometheus."""
    pods = kubectl.get(
        f"-n logging pods -l app.kubernetes.io/name={app} --field-selector=status.phase=Running"
    )
    name = pods["items"][0]["metadata"]["name"]
    return kubectl(f"get --raw /api/v1/namespaces/logging/pods/{name}:{port}/proxy/metrics")


@pytest.mark.usefixtures("answers")
def test_it_is_counted_what_arrives_and_what_cannot_be_read(kubectl: Kubectl) -> None:
    page = _page(kubectl, "log-metrics", 9115)
    values = {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", page, re.MULTILINE)}

    assert values["logstore_up{}"] == 1
    for source in ("traefik", "app", "kubernetes"):
        assert values[f'logstore_documents{{dataset="{source}"}}'] > 0
        assert values[f'logstore_lag_seconds{{dataset="{source}"}}'] < 300
    assert values['logstore_unparsed_documents{dataset="app"}'] >= 1
    assert values["logstore_invalid_documents{}"] >= 1


def test_every_filebeat_says_how_it_fares(kubectl: Kubectl) -> None:
    page = _page(kubectl, "log-metrics", 9115)
    nodes = {node["metadata"]["name"] for node in kubectl.get("nodes")["items"]}

    assert set(re.findall(r'^logstore_filebeat_up\{node="(.+)"\} 1\.0$', page, re.MULTILINE)) == nodes
    assert re.search(r"^logstore_filebeat_events_acked_total\{.*\} [1-9]", page, re.MULTILINE)


def test_elasticsearch_says_how_it_fares(kubectl: Kubectl) -> None:
    def told() -> bool:
        page = _page(kubectl, "elasticsearch-exporter", 9114)
        wanted = (
            r'^elasticsearch_cluster_health_status\{.*color="green"\} 1$',
            r"^elasticsearch_indices_settings_stats_read_only_indices 0$",
            r"^elasticsearch_indices_indexing_index_total\{.*\} [1-9]",
            r"^elasticsearch_filesystem_data_available_bytes\{",
        )
        return all(re.search(pattern, page, re.MULTILINE) for pattern in wanted)

    assert eventually(told, 60)


def test_kibana_would_be_given_every_object(home: Home, kubectl: Kubectl) -> None:
    given = kubectl.get("-n logging configmap kibana-objects")["data"]
    status = kubectl.get("-n logging deployment kibana")["status"]

    assert given == {FILE.name: FILE.read_text()}
    assert status.get("readyReplicas", 0) == home.variables.get("elk_kibana_replicas", 1)


def test_kubernetes_would_run_its_pod(kubectl: Kubectl) -> None:
    # Where none runs, nobody has asked yet whether one may.
    assert "pod/kibana created" in kubectl.try_pod("logging", "kibana")


def test_the_summary_says_that_it_does_not_run(home: Home) -> None:
    if home.variables.get("elk_kibana_replicas", 1):
        pytest.skip("here it does")
    run = home.play("playbooks/summary.yml")

    (row,) = re.findall(rf".*https://kibana\.{re.escape(home.domain)}/.*", run.stdout)
    assert "not run here (0 replicas)" in row
    assert "kibana_admin.password" in row


def test_a_file_that_is_none_of_kibanas_is_told(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "none.ndjson"
    file.write_text("{")
    run = home.play(CONVERGE, "-e", json.dumps({"elk_kibana_files": [str(file)]}))

    assert run.returncode != 0, run.stdout
    assert set(re.findall(r"changed=(\d+)", run.stdout)) == {"0"}
    assert f"elk_kibana_files: {file} is not JSON, an object in each line (line 1" in run.stdout
