"""What a target answers cannot fill the role's Prometheus, which runs here for real."""

import subprocess
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.support.programs import free_port, prometheus
from tests.support.rendering import Role
from tests.support.waiting import wait_until

LIMITS = ("body_size_limit", "sample_limit")
HOSTILE = {
    "samples": "".join(f"made_{number} 1\n" for number in range(6000)),
    "body": "# " + "x" * 9_000_000 + "\nmade 1\n",
    "labels": "made{" + ",".join(f'l{number}="1"' for number in range(70)) + "} 1\n",
    "name": "made{" + "l" * 300 + '="1"} 1\n',
    "value": 'made{l="' + "x" * 3000 + '"} 1\n',
}
GOOD = "".join(f'made{{l="{number}"}} 1\n' for number in range(4000))


@contextmanager
def _answering(pages: dict[str, str]) -> Iterator[int]:
    """Answer each path with its page, and give the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(pages[self.path.lstrip("/")].encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def _configuration(directory: Path, port: int) -> dict[str, Any]:
    """The limits of the role: those for all, and those for pods that are annotated."""
    role = yaml.safe_load(Role("prometheus", directory).value("_prometheus_configuration"))
    (pods,) = [job for job in role["scrape_configs"] if job["job_name"] == "pods"]
    jobs = [
        {
            "job_name": name,
            "metrics_path": f"/{name}",
            "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
            **{limit: pods[limit] for limit in LIMITS},
        }
        for name in (*HOSTILE, "good")
    ]
    return {
        "global": role["global"] | {"scrape_interval": "3s", "scrape_timeout": "3s"},
        "scrape_configs": jobs,
    }


class Asking:
    """What Prometheus answers, by job."""

    def __init__(self, port: int, log: Path) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1/query"
        self._log = log

    def __call__(self, query: str) -> dict[str, float]:
        """Return the value of each job; nothing while Prometheus starts."""
        try:
            answer = requests.get(self._url, params={"query": query}, timeout=5).json()
        except (requests.ConnectionError, ValueError):
            return {}
        result = answer.get("data", {}).get("result", [])
        return {each["metric"]["job"]: float(each["value"][1]) for each in result}

    def wait(self, jobs: Collection[str]) -> None:
        """Wait until all targets have been asked, and one of them is up."""
        wait_until(
            lambda: (up := self("up")).keys() == set(jobs) and any(up.values()),
            lambda: self._log.read_text()[-3000:],
        )


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """Prometheus, once it has asked all targets."""
    directory = tmp_path_factory.mktemp("prometheus")
    own = free_port()
    with _answering(HOSTILE | {"good": GOOD}) as port:
        (directory / "prometheus.yml").write_text(yaml.safe_dump(_configuration(directory, port)))
        command = [str(prometheus()), f"--web.listen-address=127.0.0.1:{own}"]
        command += [f"--storage.tsdb.path={directory}/data", f"--config.file={directory}/prometheus.yml"]
        with (directory / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
            try:
                asked = Asking(own, directory / "log")
                asked.wait((*HOSTILE, "good"))
                yield asked
            finally:
                process.kill()


def test_what_is_too_much_is_refused_as_a_whole(asking: Asking) -> None:
    assert asking("max_over_time(up[1m])") == {**dict.fromkeys(HOSTILE, 0), "good": 1}
    assert asking('count by (job) ({__name__=~"made.*"})') == {"good": 4000}
