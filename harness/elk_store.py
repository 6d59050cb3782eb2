"""Helpers for the role's Elasticsearch: run the Jobs' commands, and write lines."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from homeserver_logstore.__main__ import main
from homeserver_logstore.client import Elasticsearch

from harness.elk_role import Store

Command = Callable[..., int]


def commands_of(store: Store, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return a function that runs a command like its Job does, with settings, and returns its exit code."""
    (directory / "password").write_text(store.role.value("_elk_passwords")["logstore"])
    monkeypatch.setenv("ELASTICSEARCH_URL", store.url)
    monkeypatch.setenv("ELASTICSEARCH_USER", "logstore")
    monkeypatch.setenv("ELASTICSEARCH_PASSWORD_FILE", str(directory / "password"))
    monkeypatch.setenv("ELASTICSEARCH_CA_FILE", str(store.authority))

    def run(command: str, **settings: Any) -> int:
        file = directory / "settings.json"
        file.write_text(json.dumps(settings))
        return main([command, "--settings", str(file)])

    return run


def a_line(**fields: Any) -> dict[str, Any]:
    """Return a line with the current time."""
    return {"@timestamp": datetime.now(UTC).isoformat(), "message": "a line", **fields}


def write(elasticsearch: Elasticsearch, alias: str, *lines: dict[str, Any]) -> list[dict[str, Any]]:
    """Write lines, and return the result of each."""
    actions = [each for line in lines for each in ({"create": {"_index": alias}}, line)]
    return [item["create"] for item in elasticsearch.bulk(actions, refresh=True)["items"]]
