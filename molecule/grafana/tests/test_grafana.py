"""Kubernetes takes Grafana's objects, and Prometheus has an answer to everything that a dashboard asks.

In the lab Grafana itself does not run: its image cannot be had there.
"""

import json
import math
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.dashboards import FILES, Choice, Question, asked, choices, marks, read
from tests.home import Home, Kubectl
from tests.prometheus import Prometheus

CONVERGE = f"{os.environ.get('MOLECULE_SCENARIO_DIRECTORY', Path(__file__).parents[1])}/converge.yml"

QUESTIONS = [question for dashboard in read().values() for question in asked(dashboard)]
CHOICES = [choice for dashboard in read().values() for choice in choices(dashboard)]

# Metrics that there are none of in the lab, and why. What asks for one is not answered.
MISSING = {
    "node:temperature_max:celsius": "a machine of the lab has no sensors",
    "container_cpu_cfs_throttled_periods_total": "none of the project's containers has a limit of CPU",
    "container_fs_writes_bytes_total": "the control groups of a container that is a machine do not count it",
}

BROWSERS = {
    "firefox": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "safari": "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/17.5 Safari/605.1.15",
}


def _ask(prometheus: Prometheus, question: Question) -> list[float]:
    """What Prometheus says, without what is not a number."""
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
    """What deletes old logs has run once; by itself it does so every quarter of an hour."""
    kubectl("-n logging create job tidied --from=cronjob/logstore-retain")
    yield
    kubectl("-n logging delete job tidied --ignore-not-found")


@pytest.fixture(scope="module")
def _visited(home: Home, _tidied: None) -> None:
    """There were visitors, of more than one kind, some of whom found nothing."""
    for agent in BROWSERS.values():
        for path in ("", "nowhere"):
            url = f"https://hello.{home.domain}/{path}"
            requests.get(url, headers={"User-Agent": agent}, verify=home.ca, timeout=10)


@pytest.fixture(scope="module")
def answers(_visited: None, prometheus: Prometheus) -> dict[Question, list[float]]:
    """What every question is answered, asked again until all that can be has been, or for some minutes."""
    found = {question: _ask(prometheus, question) for question in QUESTIONS}
    deadline = time.monotonic() + 240
    while waiting := [question for question in QUESTIONS if _expected(question) and not found[question]]:
        if time.monotonic() > deadline:
            break
        time.sleep(5)
        found |= {question: _ask(prometheus, question) for question in waiting}
    return found


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_every_question_of_a_dashboard_is_answered(
    question: Question, answers: dict[Question, list[float]]
) -> None:
    assert bool(answers[question]) == _expected(question), question.expr


def test_every_exception_is_asked_for() -> None:
    asked_for = " ".join(question.expr for question in QUESTIONS)

    assert [metric for metric in MISSING if metric not in asked_for] == []


def test_alerts_are_marked_on_every_graph(prometheus: Prometheus) -> None:
    ((mark,),) = {tuple(marks(dashboard)) for dashboard in read().values()}

    # Nothing fires here but the one that always does, and is not marked for that.
    assert prometheus.query(mark.replace('severity!="none"', 'severity="none"'))


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_every_variable_has_something_to_choose(prometheus: Prometheus, choice: Choice) -> None:
    assert prometheus.api(f"label/{choice.label}/values", **{"match[]": choice.series})


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("question", [question for question in QUESTIONS if question.exemplars], ids=str)
def test_the_dots_on_a_graph_are_traces(prometheus: Prometheus, question: Question) -> None:
    now = time.time()
    found = prometheus.api("query_exemplars", query=question.expr, start=f"{now - 3600}", end=f"{now}")

    traces = {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]}
    assert traces
    assert all(re.fullmatch("[0-9a-f]{32}", trace) for trace in traces)


def _config_maps(kubectl: Kubectl) -> dict[str, str]:
    """All files that are given to Grafana, by name."""
    ours = "-l app.kubernetes.io/part-of=grafana"
    maps = kubectl.get(f"-n monitoring configmaps {ours}")["items"]
    return {name: text for entry in maps for name, text in entry["data"].items()}


def test_grafana_has_every_dashboard_as_it_was_written(kubectl: Kubectl) -> None:
    given = _config_maps(kubectl)

    wanted = {file.name: file.read_text().rstrip("\n") for file in FILES}

    assert {name: given.get(name) for name in wanted} == wanted


def test_an_owners_dashboard_asks_this_homes_prometheus(kubectl: Kubectl) -> None:
    (panel,) = json.loads(_config_maps(kubectl)["own.json"])["panels"]

    assert panel["datasource"]["uid"] == "prometheus"
    assert panel["targets"][0]["legendFormat"] == "{{ job }}"


def test_as_many_grafanas_run_as_are_wanted(home: Home, kubectl: Kubectl) -> None:
    status = kubectl.get("-n monitoring deployment grafana")["status"]

    assert status.get("readyReplicas", 0) == home.variables.get("grafana_replicas", 1)


def test_kubernetes_would_run_its_pod(kubectl: Kubectl) -> None:
    # Where none runs, nobody has asked yet whether one may.
    assert "pod/grafana created" in kubectl.try_pod("monitoring", "grafana")


def test_the_summary_says_that_it_does_not_run(home: Home) -> None:
    if home.variables.get("grafana_replicas", 1):
        pytest.skip("here it does")
    run = home.play("playbooks/summary.yml")

    assert run.returncode == 0, run.stdout
    (row,) = re.findall(rf".*https://grafana\.{re.escape(home.domain)}/.*", run.stdout)
    assert "not run here (0 replicas)" in row


def test_its_metrics_are_for_the_cluster_alone(home: Home) -> None:
    answer = requests.get(f"https://grafana.{home.domain}/metrics", verify=home.ca, timeout=10)

    assert answer.status_code == 404


def _refusal(home: Home, **variables: Any) -> str:
    """What is told of a wrong value, after which nothing has been changed."""
    run = home.play(CONVERGE, "-e", json.dumps(variables))
    assert run.returncode != 0, run.stdout
    assert set(re.findall(r"changed=(\d+)", run.stdout)) == {"0"}
    return run.stdout


def test_a_dashboard_that_is_none_is_told(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "none.json"
    file.write_text("{")

    output = _refusal(home, grafana_dashboards_extra=[str(file)])

    assert f"grafana_dashboards_extra: {file} is not JSON" in output


def test_a_source_that_is_switched_off_is_told(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "traces.json"
    panel = {"title": "Traces", "datasource": {"uid": "jaeger"}, "targets": []}
    file.write_text(json.dumps({"uid": "traces", "title": "Traces", "panels": [panel]}))

    output = _refusal(home, grafana_dashboards_extra=[str(file)], grafana_jaeger_url="")

    assert "asks the data source jaeger, which this home does without -> set grafana_jaeger_url" in output


def test_an_address_that_is_none_is_told(home: Home) -> None:
    assert "grafana_jaeger_url is jaeger:16686." in _refusal(home, grafana_jaeger_url="jaeger:16686")
