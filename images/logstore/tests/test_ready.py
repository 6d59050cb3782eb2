"""No lines are sent before their index exists."""

from typing import Any

import pytest
from homeserver_logstore import client
from homeserver_logstore.__main__ import main
from homeserver_logstore.commands import ready

WRITTEN = {"is_write_index": True}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The responses of Elasticsearch in order; the last one repeats."""
    given: list[Any] = []

    def find(_self: client.Elasticsearch, _path: str) -> Any:
        answer = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(client.Elasticsearch, "find", find)
    monkeypatch.setattr(client.Elasticsearch, "get", lambda self, path, **_: find(self, path))
    monkeypatch.setattr(ready, "_PAUSE", 0)
    monkeypatch.setenv("ELASTICSEARCH_URL", "http://127.0.0.1:1")
    return given


def test_it_waits_for_a_write_index(answers: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    answers += [
        client.UnreachableError("nobody answers"),
        client.UnreachableError("nobody answers"),
        client.RefusedError(401, "security_exception", "who are you"),
        None,
        {"logs-app-000001": {"aliases": {"logs-app": {}}}},
        {
            "logs-app-000001": {"aliases": {"logs-app": {}}},
            "logs-app-000002": {"aliases": {"logs-app": WRITTEN}},
        },
    ]

    assert main(["ready", "logs-app"]) == 0
    output = capsys.readouterr().out
    assert [output.count(text) for text in ("nobody answers", "who are you", "no index behind logs-app")] == [
        1,
        1,
        1,
    ]


def test_every_alias_is_checked(answers: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    answers += [
        {"a-1": {"aliases": {"a": WRITTEN}}},
        None,
        {"a-1": {"aliases": {"a": WRITTEN}}},
        {"b-1": {"aliases": {"b": WRITTEN}}},
    ]

    assert main(["ready", "a", "b"]) == 0
    assert "no index behind b" in capsys.readouterr().out


def test_without_an_index_it_waits_for_elasticsearch(
    answers: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    answers += [
        client.UnreachableError("nobody answers"),
        client.RefusedError(408, "", "red"),
        {"status": "yellow"},
    ]

    assert main(["ready", "--any"]) == 0
    output = capsys.readouterr().out
    assert ("nobody answers" in output, "red" in output) == (True, True)
