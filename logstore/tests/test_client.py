"""What Elasticsearch answers, and that it does not, is told in one line."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from homeserver_logstore.__main__ import main
from homeserver_logstore.client import Elasticsearch, RefusedError, UnreachableError

from automation.tests.kubernetes_api import serving

ERROR = {
    "error": {
        "type": "mapper_parsing_exception",
        "reason": "Failed to parse mapping",
        "caused_by": {"type": "illegal_argument_exception", "reason": "No handler for type [strng]"},
    },
    "status": 400,
}


class Server(ThreadingHTTPServer):
    """Answers all requests with one answer, and remembers them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: tuple[int, Any] = (200, {})
        self.asked: list[tuple[str, str, str, str]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        self.server.asked.append((self.command, self.path, self.headers.get("Authorization", ""), body))
        status, content = self.server.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(content.encode() if isinstance(content, str) else json.dumps(content).encode())

    def __getattr__(self, name: str) -> Any:
        """Answer requests of every kind alike."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """What stands in for Elasticsearch."""
    server = Server()
    with serving(server):
        yield server


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Elasticsearch:
    """A client of it, as its environment names it."""
    (tmp_path / "password").write_text("secret\n")
    return Elasticsearch.from_environment(
        {
            "ELASTICSEARCH_URL": f"http://127.0.0.1:{server.server_port}/",
            "ELASTICSEARCH_USER": "ada",
            "ELASTICSEARCH_PASSWORD_FILE": str(tmp_path / "password"),
        }
    )


def test_a_user_asks(server: Server, client: Elasticsearch) -> None:
    server.answer = (200, {"found": 1})

    assert client.put("logs-app", {"a": 1}, pretty=True) == {"found": 1}
    assert server.asked == [("PUT", "/logs-app?pretty=true", "Basic YWRhOnNlY3JldA==", '{"a": 1}')]


def test_many_actions_are_lines(server: Server, client: Elasticsearch) -> None:
    client.bulk([{"create": {"_index": "logs-app"}}, {"message": "ä\n"}])

    assert server.asked[0][3] == '{"create": {"_index": "logs-app"}}\n{"message": "\\u00e4\\n"}\n'


def test_a_refusal_names_its_causes(server: Server, client: Elasticsearch) -> None:
    server.answer = (400, ERROR)

    with pytest.raises(RefusedError) as caught:
        client.put("_index_template/logs", {})
    assert str(caught.value) == (
        "PUT _index_template/logs: 400 Failed to parse mapping: No handler for type [strng]"
    )
    assert (caught.value.status, caught.value.type) == (400, "mapper_parsing_exception")


@pytest.mark.parametrize("answer", ["<html>", {"error": "no handler found"}, []])
def test_a_refusal_in_other_words_is_told_too(server: Server, client: Elasticsearch, answer: Any) -> None:
    server.answer = (405, answer)

    with pytest.raises(RefusedError, match=r"^GET x: 405 "):
        client.get("x")


def test_what_may_not_be_there_is_none(server: Server, client: Elasticsearch) -> None:
    server.answer = (404, {"error": "missing"})
    assert client.find("_alias/logs-app") is None

    server.answer = (403, {"error": "forbidden"})
    with pytest.raises(RefusedError):
        client.find("_alias/logs-app")


def test_silence_names_the_address() -> None:
    with pytest.raises(UnreachableError, match=r"^Elasticsearch at http://127\.0\.0\.1:9 does not answer: "):
        Elasticsearch("http://127.0.0.1:9").get("")


def test_a_wrong_password_is_not_waited_for(server: Server, client: Elasticsearch) -> None:
    server.answer = (401, {"error": {"type": "security_exception", "reason": "unable to authenticate"}})

    with pytest.raises(RefusedError, match="unable to authenticate"):
        client.wait(60)
    assert len(server.asked) == 1


def _directory(path: Path, url: str) -> Path:
    (path / "connection.json").write_text(json.dumps({"url": url, "user": "logstore"}))
    (path / "password").write_text("new")
    (path / "settings.json").write_text("{}")
    (path / "ca.crt").write_text("")
    return path


@pytest.mark.parametrize(("status", "result"), [(401, 0), (403, 1)])
def test_a_password_that_it_is_yet_to_learn_hinders_no_check(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, result: int
) -> None:
    monkeypatch.setattr("ssl.create_default_context", lambda **_: None)
    server.answer = (status, {"error": {"type": "security_exception", "reason": "no"}})

    assert main(["check", str(_directory(tmp_path, f"http://127.0.0.1:{server.server_port}"))]) == result


def test_a_new_password_is_waited_for_but_not_for_ever(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = (401, {"error": {"type": "security_exception", "reason": "unable to authenticate"}})
    monkeypatch.setenv("ELASTICSEARCH_URL", f"http://127.0.0.1:{server.server_port}")
    (tmp_path / "settings.json").write_text("{}")

    assert main(["setup", "--settings", str(tmp_path / "settings.json"), "--patience", "1.5"]) == 1
    assert len(server.asked) > 1
    assert capsys.readouterr().err == "GET _cluster/health: 401 unable to authenticate\n"
