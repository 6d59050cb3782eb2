import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

import pytest
import requests
from flask.testing import FlaskClient

from homeserver_app import health

from .server import Server, broken_off, wait_until


def test_probes(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (client.get("/healthz").status_code, client.get("/readyz").json) == (200, {"status": "ready"})
    monkeypatch.setattr(health, "DRAIN", health.Drain())
    health.DRAIN.start()
    response = client.get("/readyz")
    assert (response.status_code, response.json) == (503, {"status": "draining"})
    assert client.get("/healthz").status_code == 200


class Visitors:
    """Clients with persistent connections that send requests one after another, inside a `with` block."""

    def __init__(self, server: Server, count: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._server = server
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _ in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _visit(self) -> None:
        with requests.Session() as session:
            while not self._done.is_set():
                self.outcomes[self._outcome(session)] += 1

    def _outcome(self, session: requests.Session) -> str:
        try:
            return str(session.get(f"http://127.0.0.1:{self._server.port}/", timeout=10).status_code)
        except requests.RequestException as error:
            return type(error).__name__


def test_a_stop_under_load_loses_no_request(tmp_path: Path) -> None:
    with Server(tmp_path, "tests.slow:create_app()", workers=2, drain_seconds=3) as server:
        with Visitors(server, 8) as visitors:
            time.sleep(1)
            server.terminate()
            ordered = time.monotonic()
            wait_until(lambda: server.get("/readyz").status_code == 503, "it is not ready", 2)
            served = visitors.outcomes["200"]
            time.sleep(1)  # as long as it takes until no client sends requests any more
        assert visitors.outcomes["200"] > served, "no request was served while draining"

        slow: list[requests.Response] = []
        visitor = threading.Thread(target=lambda: slow.append(server.get("/slow/4.0")))
        visitor.start()
        assert server.process.wait(20) == 0
        visitor.join()
        assert time.monotonic() - ordered > 3
    assert set(visitors.outcomes) == {"200"}
    assert [response.status_code for response in slow] == [200]


def test_a_second_sigterm_stops_at_once(tmp_path: Path) -> None:
    with Server(tmp_path, drain_seconds=60) as server:
        server.terminate()
        wait_until(lambda: server.get("/readyz").status_code == 503, "it is not ready", 2)
        server.terminate()
        assert server.process.wait(5) == 0


def test_without_a_drain_it_stops_at_once(tmp_path: Path) -> None:
    with Server(tmp_path, drain_seconds=0) as server:
        server.terminate()
        assert server.process.wait(5) == 0


def test_a_request_longer_than_the_grace_period_does_not_delay_the_stop(tmp_path: Path) -> None:
    with Server(tmp_path, "tests.slow:create_app()", graceful_seconds=1) as server:
        visitor = broken_off(server, "/slow/60.0")
        wait_until(lambda: "http_requests_in_progress 1.0" in server.metrics(), "the request is in flight")
        server.terminate()
        assert server.process.wait(10) == 0
        visitor.join(10)
        assert not visitor.is_alive()


def test_bad_settings_stop_the_server_with_one_message(tmp_path: Path) -> None:
    server = Server(tmp_path, greetng="Hi", threads=0)
    with pytest.raises(AssertionError, match="exited with 1"):
        server.__enter__()
    assert server.output() == (
        "homeserver_app cannot start:\n"
        "HOMESERVER_APP_GREETNG is not a setting; did you mean HOMESERVER_APP_GREETING?\n"
        "HOMESERVER_APP_THREADS must be a whole number from 1 to 256, not '0'\n"
    )
