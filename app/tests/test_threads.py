"""Neither idle connections nor slow requests keep the app from being found alive, and stuck ones do."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
import requests

from .server import Server, broken_off, wait_until

THREADS = 4


@contextmanager
def idle_connections(port: int) -> Iterator[None]:
    """Open connections that nothing is sent on, as Traefik does for clients that have left."""
    with ExitStack() as connections:
        for _ in range(50):
            connections.enter_context(socket.create_connection(("127.0.0.1", port), 10))
        yield


def seconds_until_answered(port: int) -> float:
    started = time.monotonic()
    assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=40).ok
    return time.monotonic() - started


def occupied(server: Server, path: str) -> None:
    """Occupy all threads with requests that are never finished."""
    for _ in range(THREADS):
        broken_off(server, path)
    wait_until(lambda: f"http_requests_in_progress {THREADS}.0" in server.metrics(), "all threads are busy")


def test_idle_connections_do_not_delay_requests(tmp_path: Path) -> None:
    with Server(tmp_path) as server, idle_connections(server.port):
        assert seconds_until_answered(server.port) < 1


def test_a_connection_is_served_however_late_its_request_comes(tmp_path: Path) -> None:
    with Server(tmp_path) as server, closing(HTTPConnection("127.0.0.1", server.port, timeout=10)) as late:
        late.connect()
        time.sleep(6)  # gthread's own wait is 5 s
        for _ in range(2):
            late.request("GET", "/readyz")
            assert late.getresponse().read() == b'{"status":"ready"}\n'


def test_idle_connections_do_not_delay_a_stop(tmp_path: Path) -> None:
    with Server(tmp_path) as server, idle_connections(server.port):
        server.terminate()
        assert server.process.wait(5) == 0


def test_a_busy_app_answers_probes(tmp_path: Path) -> None:
    with Server(tmp_path, "tests.slow:create_app()", graceful_seconds=1) as server:
        occupied(server, "/slow/60.0")
        assert seconds_until_answered(server.probe_port) < 1
        with pytest.raises(requests.Timeout):
            requests.get(f"http://127.0.0.1:{server.port}/", timeout=1)


def test_a_worker_whose_threads_are_all_stuck_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--timeout=2")
    with Server(tmp_path, "tests.slow:create_app()", graceful_seconds=1) as server:
        (before,) = server.workers()
        occupied(server, "/slow/600.0")
        wait_until(lambda: server.workers() not in ([], [before]), "the worker is replaced")
        assert seconds_until_answered(server.port) < 5


def test_a_busy_worker_is_not_replaced_as_long_as_it_finishes_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--timeout=2")
    with Server(tmp_path, "tests.slow:create_app()") as server, ThreadPoolExecutor(2 * THREADS) as visitors:
        before = server.workers()
        answers = visitors.map(lambda _: server.get("/slow/1.0").status_code, range(7 * THREADS))
        assert set(answers) == {200}
        assert server.workers() == before


def test_probes_find_a_worker_that_hangs(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)
        with pytest.raises(requests.Timeout):
            requests.get(f"http://127.0.0.1:{server.probe_port}/healthz", timeout=2)
        os.kill(worker, signal.SIGCONT)
