"""Clients of HTTP/2 that behave badly, with the real Traefik before a real app."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import requests

from harness.http2 import break_rules, hang_up, waits
from harness.programs import free_port
from harness.traefik import in_front_of
from harness.waiting import wait_for_port

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS")  # Traefik's certificate is made up

ROOT = Path(__file__).parents[2]
# Seconds; a starved machine takes one, threads that wait for requests half a minute.
PATIENCE = 5
GUNICORN = [sys.executable, "-m", "gunicorn"]
# With gunicorn's own worker, in which a connection without a request occupies a thread.
ANOTHER = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


@pytest.fixture(params=["hello", "another"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an app with one process of four threads."""
    port, *others = (str(free_port()) for _ in range(3))
    if request.param == "hello":
        command, directory = GUNICORN, ROOT / "app"
    else:
        (tmp_path / "another.py").write_text(ANOTHER)
        options = [f"--bind=127.0.0.1:{port}", "--threads=4", "--no-control-socket"]
        command, directory = [*GUNICORN, *options, "another:app"], tmp_path
    names = ("PORT", "PROBE_PORT", "METRICS_PORT", "HOST", "WORKERS", "DRAIN_SECONDS")
    values = (port, *others, "127.0.0.1", "1", "0")
    settings = {f"HOMESERVER_APP_{name}": value for name, value in zip(names, values, strict=True)}
    environment = os.environ | settings | {"PYTHONPATH": "src"}
    with subprocess.Popen(command, cwd=directory, env=environment, start_new_session=True) as process:
        wait_for_port(int(port), process, lambda: "gunicorn ended")
        yield f"http://127.0.0.1:{port}"
        os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def traefik(app: str, tmp_path: Path) -> Iterator[tuple[str, int]]:
    """The address of Traefik before it."""
    directory = tmp_path / "traefik"
    directory.mkdir()
    with in_front_of(app, directory) as running:
        host, port = running.addresses[running.public].split(":")
        yield host, int(port)


def _waits(app: str) -> AbstractContextManager[list[float]]:
    """The seconds that probes of the app take."""
    return waits(lambda: requests.get(f"{app}/healthz", timeout=60).raise_for_status())


def test_who_hangs_up_on_many_requests_keeps_nobody_waiting(app: str, traefik: tuple[str, int]) -> None:
    with _waits(app) as seconds:
        for _ in range(3):
            hang_up(traefik, "hello.home.arpa")
            time.sleep(1)

    assert len(seconds) > 10
    assert max(seconds) < PATIENCE, seconds


@pytest.mark.parametrize("app", ["hello"], indirect=True)
def test_who_breaks_the_rules_of_http2_keeps_nobody_waiting(app: str, traefik: tuple[str, int]) -> None:
    with _waits(app) as seconds:
        report = break_rules(*traefik)

    assert "145 tests, 141 passed" in report, report
    assert max(seconds) < PATIENCE, seconds
