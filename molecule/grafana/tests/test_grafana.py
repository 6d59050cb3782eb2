"""Kubernetes accepts Grafana's objects, and Prometheus has results for every query of the dashboards.

Grafana itself does not run in the lab, because its image is not available there.
"""

import json
import math
import re
import time
from collections.abc import Iterator

import pytest
import requests

from harness.dashboards import FILES, Choice, Question, asked, choices, marks, read
from harness.home import Home, Kubectl, eventually
from harness.prometheus import Prometheus

QUESTIONS = [question for dashboard in read().values() for question in asked(dashboard)]
CHOICES = [choice for dashboard in read().values() for choice in choices(dashboard)]

# Metrics that do not exist in the lab, and why. Queries for them have no result.
MISSING = {
    "node:temperature_max:celsius": "lab machines have no sensors",
    "container_cpu_cfs_throttled_periods_total": "none of the project's containers has a CPU limit",
    "homeserver_backup_": "this home is not saved before the scenario restore",
    "container_fs_writes_bytes_total": "the control groups of a container that is a machine do not count it",
}

BROWSERS = {
    "firefox": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "safari": "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/17.5 Safari/605.1.15",
}


def _query(prometheus: Prometheus, question: Question) -> list[float]:
    """Return the values of a query's result, except NaN."""
    if question.over_time:
        now = time.time()
        result = prometheus.api(
            "query_range", query=question.expr, start=f"{now - 6 * 3600}", end=f"{now}", step="30"
        )["result"]
        samples = [sample for series in result for sample in series["values"]]
    else:
        samples = [series["value"] for series in prometheus.query(question.expr)]
    values = [float(value) for _, value in samples]
    return [value for value in values if not math.isnan(value)]


def _expected(question: Question) -> bool:
    return not any(metric in question.expr for metric in MISSING)


@pytest.fixture(scope="module")
def _tidied(kubectl: Kubectl) -> Iterator[None]:
    """Run the retention job once; its own schedule is every quarter of an hour."""
    kubectl("-n logging create job tidied --from=cronjob/logstore-retain")
    yield
    kubectl("-n logging delete job tidied --ignore-not-found")


@pytest.fixture(scope="module")
def _visited(home: Home, _tidied: None) -> None:
    """Create requests of several kinds, some of which are answered with 404."""
    for agent in BROWSERS.values():
        for path in ("", "nowhere"):
            url = f"https://hello.{home.domain}/{path}"
            requests.get(url, headers={"User-Agent": agent}, verify=home.ca, timeout=10)


@pytest.fixture(scope="module")
def answers(_visited: None, prometheus: Prometheus) -> dict[Question, list[float]]:
    """The results of all queries, repeated until all expected ones have some, or for some minutes."""
    found = {question: _query(prometheus, question) for question in QUESTIONS}

    def all_answered() -> bool:
        waiting = [question for question in QUESTIONS if _expected(question) and not found[question]]
        found.update({question: _query(prometheus, question) for question in waiting})
        return not waiting

    eventually(all_answered, 240)
    return found


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_every_dashboard_query_has_a_result(question: Question, answers: dict[Question, list[float]]) -> None:
    assert bool(answers[question]) == _expected(question), question.expr


def test_every_exception_is_used() -> None:
    asked_for = " ".join(question.expr for question in QUESTIONS)

    assert [metric for metric in MISSING if metric not in asked_for] == []


def test_alerts_are_marked_on_every_graph(prometheus: Prometheus) -> None:
    ((mark,),) = {tuple(marks(dashboard)) for dashboard in read().values()}

    # Only the watchdog fires here, and it is not marked.
    assert prometheus.query(mark.replace('severity!="none"', 'severity="none"'))


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_every_variable_has_values(prometheus: Prometheus, choice: Choice) -> None:
    assert prometheus.api(f"label/{choice.label}/values", **{"match[]": choice.series})


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("question", [question for question in QUESTIONS if question.exemplars], ids=str)
def test_exemplars_on_a_graph_are_traces(prometheus: Prometheus, question: Question) -> None:
    now = time.time()
    found = prometheus.api("query_exemplars", query=question.expr, start=f"{now - 3600}", end=f"{now}")

    traces = {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]}
    assert traces
    assert all(re.fullmatch("[0-9a-f]{32}", trace) for trace in traces)


def _config_maps(kubectl: Kubectl) -> dict[str, str]:
    """Return all of Grafana's files, by name."""
    ours = "-l app.kubernetes.io/part-of=grafana"
    maps = kubectl.get(f"-n monitoring configmaps {ours}")["items"]
    return {name: text for entry in maps for name, text in entry["data"].items()}


def test_grafana_gets_every_dashboard_unchanged(kubectl: Kubectl) -> None:
    given = _config_maps(kubectl)

    wanted = {file.name: file.read_text().rstrip("\n") for file in FILES}

    assert {name: given.get(name) for name in wanted} == wanted


def test_an_owners_dashboard_queries_this_homes_prometheus(kubectl: Kubectl) -> None:
    (panel,) = json.loads(_config_maps(kubectl)["own.json"])["panels"]

    assert panel["datasource"]["uid"] == "prometheus"
    assert panel["targets"][0]["legendFormat"] == "{{ job }}"


def test_the_configured_number_of_replicas_runs(home: Home, kubectl: Kubectl) -> None:
    status = kubectl.get("-n monitoring deployment grafana")["status"]

    assert status.get("readyReplicas", 0) == home.variables.get("grafana_replicas", 1)


def test_kubernetes_accepts_its_pod(kubectl: Kubectl) -> None:
    # Without a running pod, nothing has checked yet whether Kubernetes allows it.
    assert "pod/grafana created" in kubectl.try_pod("monitoring", "grafana")


def test_the_summary_reports_that_it_does_not_run(home: Home) -> None:
    if home.variables.get("grafana_replicas", 1):
        pytest.skip("here it does")
    run = home.play("playbooks/status.yml")

    assert run.returncode == 0, run.stdout
    (row,) = re.findall(rf".*https://grafana\.{re.escape(home.domain)}/.*", run.stdout)
    assert "not run here (0 replicas)" in row


def test_its_metrics_are_only_available_in_the_cluster(home: Home) -> None:
    answer = requests.get(f"https://grafana.{home.domain}/metrics", verify=home.ca, timeout=10)

    assert answer.status_code == 404
