"""A client that hangs up on many requests at once, with the real Traefik before a real app."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.http2 import hang_up
from tests.support.programs import free_port
from tests.support.traefik import in_front_of

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS")  # Traefik's certificate is made up

ROOT = Path(__file__).parents[2]
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
        yield f"http://127.0.0.1:{port}"
        os.killpg(process.pid, signal.SIGKILL)


def test_who_hangs_up_on_many_requests_keeps_nobody_waiting(app: str, tmp_path: Path) -> None:
    directory = tmp_path / "traefik"
    directory.mkdir()
    with in_front_of(app, directory) as traefik:
        host, port = traefik.addresses[traefik.public].split(":")
        waited = []
        for _ in range(3):
            hang_up((host, int(port)), "hello.home.arpa")
            for _ in range(5):
                started = time.monotonic()
                assert requests.get(f"{app}/healthz", timeout=60).ok
                waited.append(time.monotonic() - started)
                time.sleep(0.2)

    assert max(waited) < 1, waited
