import json
import logging
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask

from homeserver_app import access, create_app, logs
from homeserver_app.settings import Settings

from .server import Server

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def formatter() -> logs.JsonFormatter:
    return logs.JsonFormatter({"service": "hello"})


def record(message: str, **attributes: object) -> logging.LogRecord:
    made = {"name": "x", "levelname": "WARNING", "msg": message, "created": 0.25, **attributes}
    return logging.makeLogRecord(made)


def test_a_line_outside_a_request_has_no_request_fields(formatter: logs.JsonFormatter) -> None:
    assert json.loads(formatter.format(record("two\nlines"))) == {
        "time": "1970-01-01T00:00:00.250+00:00",
        "level": "warning",
        "logger": "x",
        "message": "two\nlines",
        "service": "hello",
    }


def test_every_event_is_one_line(formatter: logs.JsonFormatter) -> None:
    line = formatter.format(record("\n\u2028\ud800", fields={"path": Path("/x")}))
    assert len(line.encode().splitlines()) == 1
    assert json.loads(line)["path"] == "/x"


def test_a_line_within_a_request_has_its_ids(app: Flask, formatter: logs.JsonFormatter) -> None:
    @app.get("/item/<name>")
    def item(name: str) -> str:
        return formatter.format(record(f"looking for {name}"))

    headers = {"X-Request-Id": "abc-1", "traceparent": TRACEPARENT}
    event = json.loads(app.test_client().get("/item/spoon", headers=headers).text)
    assert event["message"] == "looking for spoon"
    assert event["request_id"] == "abc-1"
    assert event["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert len(event["span_id"]) == 16
    assert event["method"] == "GET"
    assert event["route"] == "/item/<name>"


@pytest.mark.parametrize(("trusted", "address"), [(0, "127.0.0.1"), (1, "192.0.2.7"), (2, "203.0.113.9")])
def test_the_client_address_is_taken_from_trusted_proxies(
    caplog: pytest.LogCaptureFixture, trusted: int, address: str
) -> None:
    caplog.set_level(logging.INFO)
    client = create_app(Settings(trusted_proxies=trusted)).test_client()
    client.get("/", headers={"X-Forwarded-For": "203.0.113.9, 192.0.2.7"})
    assert caplog.records[-1].fields["client_address"] == address  # type: ignore[attr-defined]


def test_the_servers_log_is_json_with_one_line_per_request(tmp_path: Path) -> None:
    origin = {"pod": "hello-1", "namespace": "apps", "node": "home"}
    with Server(tmp_path, "tests.slow:create_app()", **origin) as server:
        server.get("/?token=secret", **{"User-Agent": "Test/1.0", "X-Request-Id": "r-1"})
        server.get("/readyz")
        server.get("/broken", **{"X-Request-Id": "r-2"})
        started = server.events(message="Starting gunicorn 27.0.1")
        requests = server.events(logger="homeserver_app.access")
        errors = server.events(level="error")
        everything = server.output()

    assert len(started) == 1
    assert (
        started[0].items()
        >= {"logger": "gunicorn.error", "level": "info", "service": "hello", **origin}.items()
    )

    assert [(event["request_id"], event["status"]) for event in requests] == [("r-1", 200), ("r-2", 500)]
    seen = requests[0]
    assert datetime.now(UTC).timestamp() - datetime.fromisoformat(seen.pop("time")).timestamp() < 60
    assert 0 < seen.pop("duration_ms") < 10_000
    assert len(seen.pop("trace_id")) == 32
    assert len(seen.pop("span_id")) == 16
    assert seen == {
        "level": "info",
        "logger": "homeserver_app.access",
        "message": "GET / 200",
        "service": "hello",
        **origin,
        "request_id": "r-1",
        "method": "GET",
        "route": "/",
        "path": "/",
        "status": 200,
        "user_agent": "Test/1.0",
        "browser": "bot",
        "client_address": "127.0.0.1",
    }
    assert "secret" not in everything

    assert len(errors) == 1
    assert errors[0]["request_id"] == "r-2"
    assert errors[0]["stack"].startswith("Traceback (most recent call last):")
    assert "RuntimeError: it broke\nin two lines" in errors[0]["stack"]


def _late() -> str:
    time.sleep(0.1)
    return "late"


@pytest.mark.parametrize(
    ("path", "logged"),
    [("/", False), ("/nowhere", True), ("/broken", True), ("/late", True), ("/readyz", False)],
)
def test_only_unusual_requests_are_logged_if_wanted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, path: str, logged: bool
) -> None:
    monkeypatch.setattr(access, "SLOW_SECONDS", 0.1)
    caplog.set_level(logging.INFO)
    app = create_app(Settings(access_log="unusual"))
    app.add_url_rule("/late", "late", view_func=_late)
    app.add_url_rule("/broken", "broken", view_func=lambda: str(1 / 0))

    app.test_client().get(path)

    lines = [record for record in caplog.records if record.name == "homeserver_app.access"]
    assert [record.fields["path"] for record in lines] == [path] * logged  # type: ignore[attr-defined]


def test_a_request_that_is_not_http_is_logged_as_json(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
        assert len(server.events(level="warning", logger="gunicorn.error")) == 1
