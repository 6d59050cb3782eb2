"""Elasticsearch accepts every line with the role's mappings."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from homeserver_logstore.client import Elasticsearch
from homeserver_logstore.commands.setup import Setup
from homeserver_logstore.settings import Settings

from harness.filebeat import Role, log_file, running, stubbed
from harness.home import eventually
from harness.search import Engine, elasticsearch_running
from tests.unit.test_filebeat import CASES


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A real Elasticsearch, set up as the role does."""
    with elasticsearch_running(tmp_path_factory.mktemp("elasticsearch")) as started:
        Setup(Elasticsearch(started.url), Settings()).carry_out()
        yield started


def _count(engine: Engine, index: str) -> int:
    engine.ask(f"{index}/_refresh", method="POST")
    return int(engine.ask(f"{index}/_count")["count"])


def _configuration(directory: Path, engine: Engine) -> dict[str, Any]:
    configuration = stubbed(Role(directory).configuration())
    output = configuration["output.elasticsearch"] | {"hosts": [engine.url]}
    del output["ssl.certificate_authorities"], output["username"], output["password"]
    return configuration | {"output.elasticsearch": output}


def test_no_line_is_refused(tmp_path: Path, engine: Engine) -> None:
    for case in CASES:
        log_file(tmp_path, case.name, namespace=case.namespace).write_bytes(case.raw)
    expected = sum(len(case.documents) for case in CASES)
    with running(tmp_path, _configuration(tmp_path, engine)):
        arrived = eventually(lambda: _count(engine, "logs-*") >= expected, 60)

    refused = engine.ask("logs-invalid/_search?size=20")["hits"]["hits"]
    assert [json.dumps(hit["_source"])[:1000] for hit in refused] == []
    assert arrived
    assert _count(engine, "logs-*") == expected


def test_unmapped_fields_are_searchable(engine: Engine) -> None:
    """Needs the lines of the first test."""
    for query, messages in {
        "json.order.id:7": {"sold"},
        "json.status:teapot": {"hello"},
        "labels.browser:safari AND http.response.status_code:200": set(),
        "error.stack_trace:java.lang.IllegalStateException": {
            "2026-11-24 21:30:00.000 ERROR 1 --- [main] shop.Till : it failed"
        },
        "tags:parse_failed AND message:half": {'{"message": "half'},
    }.items():
        body = {"query": {"query_string": {"query": query}}, "size": 20}
        hits = engine.ask("logs-app/_search", body, "POST")["hits"]["hits"]
        assert {hit["_source"]["message"] for hit in hits} == messages, query
