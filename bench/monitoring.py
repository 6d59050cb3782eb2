"""Costs of monitoring: series, memory, and the duration of scrapes and queries."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

from bench import remote
from bench.page import Row, row
from bench.remote import KUBECTL
from harness.dashboards import Question, asked, read
from harness.recorder import Message, Recorder, recording
from lab import network
from lab.machine import Machine

_PROMETHEUS = "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1"
_GROUP = "Metrics and alerts"
_ALERT = "ProbeFailed"
_PATIENCE = 300  # seconds
_HOURS = 6  # of a panel, when its dashboard opens

_QUERIES = {
    "series": ("sum(prometheus_tsdb_head_series)", ""),
    "samples": ("sum(rate(prometheus_tsdb_head_samples_appended_total[2m]))", "per second"),
    "memory": ('process_resident_memory_bytes{job="prometheus"} / 2^20', "MiB"),
    # After a rollout, Prometheus still scrapes a terminated pod until it learns that it is gone.
    "longest scrape": ("max(scrape_duration_seconds and up == 1) * 1000", "ms"),
    "one evaluation of all rules": ("sum(prometheus_rule_group_last_duration_seconds) * 1000", "ms"),
}


def rows(machine: Machine) -> Iterator[Row]:
    """Query the machine's Prometheus for its own metrics, then time every dashboard query."""
    for what, figure in figures(machine):
        yield row(_GROUP, f"Prometheus: {what}", *figure)
    seconds = {
        question: _seconds(machine, question)
        for dashboard in read().values()
        for question in asked(dashboard)
    }
    slowest = max(seconds.values())
    yield row(_GROUP, "Prometheus: slowest dashboard query", slowest * 1000, "ms")


def figures(machine: Machine) -> Iterator[tuple[str, tuple[float, str]]]:
    """Yield what Prometheus takes, each by its name and in a unit."""
    for what, (query, unit) in _QUERIES.items():
        yield what, (value(machine, query), unit)


def value(machine: Machine, query: str) -> float:
    """Return what Prometheus answers to a query for one number; 0 for none."""
    found = _api(machine, "query", query=query)["result"]
    return float(found[0]["value"][1]) if found else 0.0


def fault_to_message(machine: Machine, play: Callable[..., None]) -> Iterator[Row]:
    """Stop an app, and measure the time until the alert message arrives.

    Args:
        machine: The machine, which sends its alerts to this host.
        play: Runs a playbook on it with variables.
    """
    with recording() as recorder:
        here = f"http://{network.bridge().host.ip}:{recorder.port}/alerts"
        play("playbooks/stages/monitoring.yml", alertmanager_webhook=[{"url": here, "token": "bench"}])
        remote.run(machine, f"{KUBECTL} -n apps scale deployment hello --replicas=0")
        started = time.time()
        recorder.wait(lambda: bool(_received(recorder)), _PATIENCE)
        took = _received(recorder)[0].at - started - _rule_waits(machine)
        yield row(_GROUP, "from an app's failure to the notification, without the rule's wait", took, "s")


def _received(recorder: Recorder) -> list[Message]:
    return [m for m in recorder.of("/alerts") if m.content["groupLabels"]["alertname"] == _ALERT]


def _rule_waits(machine: Machine) -> float:
    groups = _api(machine, "rules", **{"rule_name[]": _ALERT})["groups"]
    return float(groups[0]["rules"][0]["duration"])


def _seconds(machine: Machine, question: Question) -> float:
    """Return the execution time within Prometheus, without the network."""
    now = time.time()
    span = {"start": f"{now - _HOURS * 3600}", "end": f"{now}", "step": "30"} if question.over_time else {}
    path = "query_range" if question.over_time else "query"
    answer = _api(machine, path, query=question.expr, stats="all", **span)
    return float(answer["stats"]["timings"]["execTotalTime"])


def _api(machine: Machine, path: str, **parameters: str) -> Any:
    answer = remote.run(machine, f"{KUBECTL} get --raw '{_PROMETHEUS}/{path}?{urlencode(parameters)}'")
    return json.loads(answer)["data"]
