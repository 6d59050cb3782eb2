"""Each error of Elasticsearch, and a missing response, is reported in one line."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from homeserver_logstore.__main__ import main
from homeserver_logstore.client import Elasticsearch, RefusedError, UnreachableError

from images.disk_cleanup.tests.kubernetes_api import serving

ERROR = {
    "error": {
        "type": "mapper_parsing_exception",
        "reason": "Failed to parse mapping",
        "caused_by": {"type": "illegal_argument_exception", "reason": "No handler for type [strng]"},
    },
    "status": 400,
}


class Server(ThreadingHTTPServer):
    """Returns one response to all requests, and records them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: tuple[int, Any] = (200, {})
        self.requests: list[tuple[str, str, str, str]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        self.server.requests.append((self.command, self.path, self.headers.get("Authorization", ""), body))
        status, content = self.server.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(content.encode() if isinstance(content, str) else json.dumps(content).encode())

    def __getattr__(self, name: str) -> Any:
        """Handle requests of every method."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A fake Elasticsearch."""
    server = Server()
    with serving(server):
        yield server


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Elasticsearch:
    """A client for it, configured by the environment."""
    (tmp_path / "password").write_text("secret\n")
    return Elasticsearch.from_environment(
        {
            "ELASTICSEARCH_URL": f"http://127.0.0.1:{server.server_port}/",
            "ELASTICSEARCH_USER": "ada",
            "ELASTICSEARCH_PASSWORD_FILE": str(tmp_path / "password"),
        }
    )


def test_requests_are_authenticated(server: Server, client: Elasticsearch) -> None:
    server.answer = (200, {"found": 1})

    assert client.put("logs-app", {"a": 1}, pretty=True) == {"found": 1}
    assert server.requests == [("PUT", "/logs-app?pretty=true", "Basic YWRhOnNlY3JldA==", '{"a": 1}')]


def test_bulk_actions_are_lines(server: Server, client: Elasticsearch) -> None:
    client.bulk([{"create": {"_index": "logs-app"}}, {"message": "ä\n"}])

    assert server.requests[0][3] == '{"create": {"_index": "logs-app"}}\n{"message": "\\u00e4\\n"}\n'


def test_an_error_includes_its_causes(server: Server, client: Elasticsearch) -> None:
    server.answer = (400, ERROR)

    with pytest.raises(RefusedError) as caught:
        client.put("_index_template/logs", {})
    assert str(caught.value) == (
        "PUT _index_template/logs: 400 Failed to parse mapping: No handler for type [strng]"
    )
    assert (caught.value.status, caught.value.type) == (400, "mapper_parsing_exception")


@pytest.mark.parametrize("answer", ["<html>", {"error": "no handler found"}, []])
def test_another_error_format_is_reported_too(server: Server, client: Elasticsearch, answer: Any) -> None:
    server.answer = (405, answer)

    with pytest.raises(RefusedError, match=r"^GET x: 405 "):
        client.get("x")


def test_a_missing_object_is_none(server: Server, client: Elasticsearch) -> None:
    server.answer = (404, {"error": "missing"})
    assert client.find("_alias/logs-app") is None

    server.answer = (403, {"error": "forbidden"})
    with pytest.raises(RefusedError):
        client.find("_alias/logs-app")


def test_no_response_names_the_address() -> None:
    with pytest.raises(UnreachableError, match=r"^Elasticsearch at http://127\.0\.0\.1:9 does not answer: "):
        Elasticsearch("http://127.0.0.1:9").get("")


def test_a_wrong_password_is_not_retried(server: Server, client: Elasticsearch) -> None:
    server.answer = (401, {"error": {"type": "security_exception", "reason": "unable to authenticate"}})

    with pytest.raises(RefusedError, match="unable to authenticate"):
        client.wait(60)
    assert len(server.requests) == 1


def _directory(path: Path, url: str) -> Path:
    (path / "connection.json").write_text(json.dumps({"url": url, "user": "logstore"}))
    (path / "password").write_text("new")
    (path / "settings.json").write_text("{}")
    (path / "ca.crt").write_text("")
    return path


@pytest.mark.parametrize(("status", "result"), [(401, 0), (403, 1)])
def test_a_password_not_set_yet_does_not_fail_the_check(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, result: int
) -> None:
    monkeypatch.setattr("ssl.create_default_context", lambda **_: None)
    server.answer = (status, {"error": {"type": "security_exception", "reason": "no"}})

    assert main(["check", str(_directory(tmp_path, f"http://127.0.0.1:{server.server_port}"))]) == result


def test_a_new_password_is_retried_with_a_time_limit(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = (401, {"error": {"type": "security_exception", "reason": "unable to authenticate"}})
    monkeypatch.setenv("ELASTICSEARCH_URL", f"http://127.0.0.1:{server.server_port}")
    (tmp_path / "settings.json").write_text("{}")

    assert main(["setup", "--settings", str(tmp_path / "settings.json"), "--patience", "1.5"]) == 1
    assert len(server.requests) > 1
    assert capsys.readouterr().err == "GET _cluster/health: 401 unable to authenticate\n"
