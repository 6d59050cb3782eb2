"""Metrics of the lines in a real Elasticsearch, and of their senders."""

import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
from homeserver_logstore.client import Elasticsearch
from homeserver_logstore.commands import metrics

from harness import programs
from harness.elk_role import Store
from harness.waiting import wait_until
from images.disk_cleanup.tests.kubernetes_api import serving
from images.logstore.tests.answering import Answering

# From a Filebeat 7.17 that has sent some lines and holds others.
ITSELF = {"beat": "filebeat", "hostname": "filebeat-x2x4v", "name": "home", "version": "7.17.29"}
STATS = {
    "libbeat": {
        "output": {"events": {"acked": 90, "active": 4, "batches": 3, "failed": 5, "total": 99}},
        "pipeline": {"clients": 2, "events": {"active": 14, "published": 104, "total": 110}},
    }
}


@pytest.fixture
def filebeat() -> Iterator[str]:
    """The address of a server that answers like Filebeat."""
    server = Answering({"/": ITSELF, "/stats": STATS})
    with serving(server):
        yield f"127.0.0.1:{server.server_port}"


def _scraped(client: Elasticsearch, filebeat: str = "") -> str:
    with metrics.Server(client, filebeat, host="127.0.0.1") as server, serving(server):
        return _got(server, "/metrics")


def _got(server: ThreadingHTTPServer, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def _values(page: str) -> dict[str, float]:
    found = re.findall(r"^logstore_(\w+)\{(.*)\} (\S+)$", page, re.MULTILINE)
    return {f"{name}{{{labels}}}" if labels else name: float(value) for name, labels, value in found}


@pytest.fixture(scope="module")
def page(new_lines: Store) -> str:
    """The metrics of an Elasticsearch with lines."""
    return _scraped(new_lines.user("metrics"))


def test_lines_are_counted_by_source(page: str) -> None:
    values = _values(page)

    counts = {
        name: values[f'documents{{dataset="{name}"}}']
        for name in ("traefik", "app", "kubernetes", "host", "invalid")
    }
    assert counts == {"traefik": 48, "app": 50, "kubernetes": 24, "host": 24, "invalid": 1}
    assert values["up"] == 1


def test_the_bytes_of_each_source_are_measured(new_lines: Store) -> None:
    # Elasticsearch measures them every 10 s.
    user = new_lines.user("metrics")
    wait_until(lambda: _values(_scraped(user))['bytes{dataset="app"}'] > 1000, pause=1)


def test_unparsed_and_refused_lines_are_counted(page: str) -> None:
    values = _values(page)

    assert values['unparsed_documents{dataset="app"}'] == 1
    assert values['unparsed_documents{dataset="traefik"}'] == 0
    assert values["invalid_documents"] == 1


def test_the_age_of_the_newest_line_is_measured(page: str) -> None:
    values = _values(page)

    assert 0 <= values['lag_seconds{dataset="app"}'] < 600
    assert abs(time.time() - values['newest_timestamp_seconds{dataset="host"}']) < 600


def test_a_retention_that_never_ran_counts_from_the_first_scrape(page: str) -> None:
    assert time.time() - _values(page)["retention_last_run_timestamp_seconds"] < 600
    assert "retention_bytes" not in _values(page)


def test_the_outcome_of_the_retention_is_the_stored_one(new_lines: Store) -> None:
    outcome = {
        "@timestamp": "2025-11-24T16:00:00+00:00",
        "bytes": 5,
        "limit_bytes": 10,
        "indices": 3,
        "deleted": ["logs-app-000001", "logs-app-000002"],
        "failures": ["logs-host-000001: no"],
    }
    new_lines.user("logstore").put("logstore/_doc/retention", outcome)

    values = _values(_scraped(new_lines.user("metrics")))

    new_lines.user("admin").delete("logstore/_doc/retention")
    assert values["retention_last_run_timestamp_seconds"] == 1764000000
    assert (values["retention_bytes"], values["retention_budget_bytes"]) == (5, 10)
    assert (values["retention_deleted_indices"], values["retention_failures"]) == (2, 1)


def test_every_sender_has_its_metrics(new_lines: Store, filebeat: str) -> None:
    values = _values(_scraped(new_lines.user("metrics"), filebeat))

    assert {name: value for name, value in values.items() if "filebeat" in name} == {
        'filebeat_up{node="home"}': 1,
        'filebeat_events_active{node="home"}': 14,
        'filebeat_events_read_total{node="home"}': 110,
        'filebeat_events_acked_total{node="home"}': 90,
        'filebeat_events_failed_total{node="home"}': 5,
        'filebeat_events_dropped_total{node="home"}': 0,
    }


def test_a_sender_that_does_not_answer_is_down(new_lines: Store) -> None:
    with serving(server := Answering({})):
        values = _values(_scraped(new_lines.user("metrics"), f"127.0.0.1:{server.server_port}"))

    assert values['filebeat_up{node="127.0.0.1"}'] == 0


def test_without_senders_there_are_no_metrics_of_them(new_lines: Store) -> None:
    assert "filebeat" not in _scraped(new_lines.user("metrics"), "filebeat.invalid:5066")


def test_senders_are_measured_while_elasticsearch_is_down(filebeat: str) -> None:
    values = _values(_scraped(Elasticsearch("http://127.0.0.1:1"), filebeat))

    assert values["up"] == 0
    assert values['filebeat_up{node="home"}'] == 1
    assert not any(name.startswith("documents") for name in values)


def test_prometheus_can_read_it(page: str) -> None:
    done = subprocess.run(
        [programs.promtool(), "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_alive_while_elasticsearch_is_down() -> None:
    server = metrics.Server(Elasticsearch("http://127.0.0.1:1"), "", host="127.0.0.1")
    with server, serving(server):
        assert _got(server, "/healthz") == "ok\n"


@pytest.mark.parametrize(
    ("index", "name"),
    [
        ("logs-app-000001", "app"),
        ("logs-app", "app"),
        ("logs-shop-floor-000012", "shop-floor"),
        ("jaeger-span-2026-11-24", "traces"),
        ("jaeger-service-2026-11-24", "traces"),
        ("jaeger-span-000001", "traces"),
    ],
)
def test_an_index_name_gives_the_source_of_its_lines(index: str, name: str) -> None:
    assert metrics.dataset(index) == name


def test_special_characters_in_names_are_escaped() -> None:
    sample: Any = metrics.Sample("documents", 1, {"dataset": 'a"b\\c\nd'})

    assert r'logstore_documents{dataset="a\"b\\c\nd"} 1.0' in "".join(metrics._page([sample]))
