"""A real gunicorn with the app's own configuration, on free loopback ports."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any, Self

import requests

APP = Path(__file__).parent.parent


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s until {what}"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def broken_off(server: "Server", path: str) -> Thread:
    """Start a request whose connection is lost before the response."""

    def visit() -> None:
        with suppress(requests.ConnectionError):
            server.get(path)

    visitor = Thread(target=visit)
    visitor.start()
    return visitor


class Server:
    """Runs inside a `with` block, which may also stop it."""

    def __init__(self, directory: Path, app: str = "", **settings: object) -> None:
        self.port, self.probe_port, self.metrics_port = free_port(), free_port(), free_port()
        self.metrics_directory = directory / "metrics"
        self._output = directory / "output"
        self._command = [sys.executable, "-m", "gunicorn", *([app] if app else [])]
        chosen = {
            "host": "127.0.0.1",
            "port": self.port,
            "probe_port": self.probe_port,
            "metrics_port": self.metrics_port,
            "workers": 1,
            "drain_seconds": 0,
        }
        variables = {
            f"HOMESERVER_APP_{name.upper()}": str(value) for name, value in (chosen | settings).items()
        }
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(APP / "src"),
            "PROMETHEUS_MULTIPROC_DIR": str(self.metrics_directory),
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            **variables,
        }

    def __enter__(self) -> Self:
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                self._command, cwd=APP, env=self._environment, stdout=output, stderr=subprocess.STDOUT
            )
        wait_until(self._answers, "the app responds")
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            self.terminate()
            self.process.wait(20)

    def _answers(self) -> bool:
        assert self.process.poll() is None, f"exited with {self.process.returncode}"
        try:
            return self.get("/healthz").ok
        except requests.ConnectionError:
            return False

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=30)

    def metrics(self, accept: str = "text/plain") -> str:
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        return requests.get(url, headers={"Accept": accept}, timeout=10).text

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def own_memory(self, pid: int) -> int:
        """Return the MiB that a process shares with no other."""
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) // 1024

    def output(self) -> str:
        return self._output.read_text()

    def events(self, **having: object) -> list[dict[str, Any]]:
        """Return the log lines with these values; each line must be JSON."""
        events = [json.loads(line) for line in self.output().splitlines()]
        return [event for event in events if having.items() <= event.items()]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)
