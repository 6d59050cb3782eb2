"""The home's logs have results for every query of Kibana's dashboards, and Prometheus gets their metrics.

Kibana itself does not run in the lab, because its image is not available there.
"""

import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import requests

from harness.home import Home, Kubectl, eventually
from harness.kibana import FILE, Question, questions, read
from harness.logs import Logs

QUESTIONS = list(questions(read()))
SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/17.5 Safari/605.1.15"
)


@pytest.fixture(scope="module")
def _logged(home: Home, kubectl: Kubectl, logs: Logs) -> Iterator[None]:
    """Create requests, a failing app with an unparsable line, and a rejected line."""
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


def _pod(kubectl: Kubectl, name: str, lines: list[str]) -> dict[str, object]:
    program = f"print({json.dumps(chr(10).join(lines))!s})"
    # This image has Python, and is on the machine already.
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
    """Whether every query has a result, repeated until all have, or for some minutes."""
    found = dict.fromkeys(QUESTIONS, False)

    def all_answered() -> bool:
        for question in [question for question, answered in found.items() if not answered]:
            answer = logs.ask(f"{question.indices}/_search", question.body)
            found[question] = bool(answer["hits"]["total"]["value"] and question.found(answer))
        return all(found.values())

    eventually(all_answered, 180)
    return found


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_every_query_of_kibana_has_a_result(question: Question, answers: dict[Question, bool]) -> None:
    assert answers[question], question.body


def _page(kubectl: Kubectl, app: str, port: int) -> str:
    """Return the metrics of an app."""
    pods = kubectl.get(
        f"-n logging pods -l app.kubernetes.io/name={app} --field-selector=status.phase=Running"
    )
    name = pods["items"][0]["metadata"]["name"]
    return kubectl(f"get --raw /api/v1/namespaces/logging/pods/{name}:{port}/proxy/metrics")


@pytest.mark.usefixtures("answers")
def test_arrived_and_unparsed_lines_are_counted(kubectl: Kubectl) -> None:
    page = _page(kubectl, "log-metrics", 9115)
    values = {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", page, re.MULTILINE)}

    assert values["logstore_up{}"] == 1
    for source in ("traefik", "app", "kubernetes"):
        assert values[f'logstore_documents{{dataset="{source}"}}'] > 0
        assert values[f'logstore_lag_seconds{{dataset="{source}"}}'] < 300
    assert values['logstore_unparsed_documents{dataset="app"}'] >= 1
    assert values["logstore_invalid_documents{}"] >= 1


def test_every_filebeat_has_metrics(kubectl: Kubectl) -> None:
    page = _page(kubectl, "log-metrics", 9115)
    nodes = {node["metadata"]["name"] for node in kubectl.get("nodes")["items"]}

    assert set(re.findall(r'^logstore_filebeat_up\{node="(.+)"\} 1\.0$', page, re.MULTILINE)) == nodes
    assert re.search(r"^logstore_filebeat_events_acked_total\{.*\} [1-9]", page, re.MULTILINE)


def test_elasticsearch_has_metrics(kubectl: Kubectl) -> None:
    def has_metrics() -> bool:
        page = _page(kubectl, "elasticsearch-exporter", 9114)
        wanted = (
            r'^elasticsearch_cluster_health_status\{.*color="green"\} 1$',
            r"^elasticsearch_indices_settings_stats_read_only_indices 0$",
            r"^elasticsearch_indices_indexing_index_total\{.*\} [1-9]",
            r"^elasticsearch_filesystem_data_available_bytes\{",
        )
        return all(re.search(pattern, page, re.MULTILINE) for pattern in wanted)

    assert eventually(has_metrics, 60)


def test_kibana_gets_every_object(home: Home, kubectl: Kubectl) -> None:
    given = kubectl.get("-n logging configmap kibana-objects")["data"]
    status = kubectl.get("-n logging deployment kibana")["status"]

    assert given == {FILE.name: FILE.read_text()}
    assert status.get("readyReplicas", 0) == home.variables.get("elk_kibana_replicas", 1)


def test_kubernetes_accepts_its_pod(kubectl: Kubectl) -> None:
    # Without a running pod, nothing has checked yet whether Kubernetes allows it.
    assert "pod/kibana created" in kubectl.try_pod("logging", "kibana")


def test_the_summary_reports_that_it_does_not_run(home: Home) -> None:
    if home.variables.get("elk_kibana_replicas", 1):
        pytest.skip("here it does")
    run = home.play("playbooks/status.yml")

    (row,) = re.findall(rf".*https://kibana\.{re.escape(home.domain)}/.*", run.stdout)
    assert "not run here (0 replicas)" in row
    assert "kibana_admin.password" in row
