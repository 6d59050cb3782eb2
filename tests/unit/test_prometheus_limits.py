"""What a target answers cannot fill the role's Prometheus, which runs here for real."""

import itertools
import re
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from harness.programs import free_port, prometheus
from harness.rendering import Role
from harness.waiting import wait_until

# How a job finds its targets, which are pods.
FINDS = ("job_name", "kubernetes_sd_configs", "relabel_configs")
HOSTILE = {
    "samples": "".join(f"made_{number} 1\n" for number in range(6000)),
    "body": "# " + "x" * 9_000_000 + "\nmade 1\n",
    "labels": "made{" + ",".join(f'l{number}="1"' for number in range(70)) + "} 1\n",
    "name": "made{" + "l" * 300 + '="1"} 1\n',
    "value": 'made{l="' + "x" * 3000 + '"} 1\n',
}
GOOD = "".join(f'made{{l="{number}"}} 1\n' for number in range(4000))
FEW = "".join(f'made{{l="{number}"}} 1\n' for number in range(900))
NEW_SERIES = 900


@contextmanager
def _answering(page: Callable[[str], str], asked: list[str] | None = None) -> Iterator[int]:
    """Answer each path with its page, or lead elsewhere from /elsewhere, and give the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.lstrip("/")
            if asked is not None:
                asked.append(path)
            self.send_response(302 if path == "elsewhere" else 200)
            self.send_header("Location", "/private")
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(page(path).encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def _configuration(directory: Path, port: int, interval: str, **jobs: str) -> dict[str, Any]:
    """The role's configuration, with jobs that are like others but for their target, each with its path."""
    role = yaml.safe_load(Role("prometheus", directory).value("_prometheus_configuration"))
    models = {job["job_name"]: job for job in role["scrape_configs"]}
    target = [{"targets": [f"127.0.0.1:{port}"]}]
    return {
        "global": role["global"] | {"scrape_interval": interval, "scrape_timeout": interval},
        "storage": role["storage"],
        "scrape_configs": [
            {"job_name": name, "metrics_path": f"/{name.rpartition('-')[2]}", "static_configs": target}
            | {key: value for key, value in models[model].items() if key not in FINDS}
            for name, model in jobs.items()
        ],
    }


@contextmanager
def _scraping(directory: Path, configuration: dict[str, Any], *options: str) -> Iterator["Asking"]:
    """Run Prometheus with a configuration."""
    own = free_port()
    (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    command = [str(prometheus()), f"--web.listen-address=127.0.0.1:{own}", *options]
    command += [f"--storage.tsdb.path={directory}/data", f"--config.file={directory}/prometheus.yml"]
    with (directory / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield Asking(own, directory / "log")
        finally:
            process.kill()


class Asking:
    """What Prometheus answers, by job."""

    def __init__(self, port: int, log: Path) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1/query"
        self._metrics = f"http://127.0.0.1:{port}/metrics"
        self._log = log

    def __call__(self, query: str) -> dict[str, float]:
        """Return the value of each job; nothing while Prometheus starts."""
        try:
            answer = requests.get(self._url, params={"query": query}, timeout=5).json()
        except (requests.ConnectionError, ValueError):
            return {}
        result = answer.get("data", {}).get("result", [])
        return {each["metric"]["job"]: float(each["value"][1]) for each in result}

    def own(self, metric: str) -> float:
        """Return one of its own metrics; 0 while Prometheus starts."""
        try:
            text = requests.get(self._metrics, timeout=5).text
        except requests.ConnectionError:
            return 0
        found = re.search(rf"^{metric} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0

    def wait(self, jobs: Collection[str]) -> None:
        """Wait until all targets have been asked, and one of them is up."""
        wait_until(
            lambda: (up := self("up")).keys() == set(jobs) and any(up.values()),
            lambda: self._log.read_text()[-3000:],
        )


@pytest.fixture(scope="module")
def requested() -> list[str]:
    """The paths that were asked for."""
    return []


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory, requested: list[str]) -> Iterator[Asking]:
    """Prometheus, once it has asked all targets."""
    directory = tmp_path_factory.mktemp("prometheus")
    pages = HOSTILE | {"good": GOOD, "few": FEW, "elsewhere": FEW, "private": FEW}
    jobs = dict.fromkeys((*HOSTILE, "good", "elsewhere"), "pods") | {"app-good": "apps", "app-few": "apps"}
    with (
        _answering(pages.__getitem__, requested) as port,
        _scraping(directory, _configuration(directory, port, "3s", **jobs)) as asked,
    ):
        asked.wait(jobs)
        yield asked


def test_what_is_too_much_is_refused_as_a_whole(asking: Asking) -> None:
    refused = dict.fromkeys((*HOSTILE, "app-good", "elsewhere"), 0)

    assert asking("max_over_time(up[1m])") == {**refused, "good": 1, "app-few": 1}
    assert asking('count by (job) ({__name__=~"made.*"})') == {"good": 4000, "app-few": 900}


def test_nobody_is_asked_to_whom_a_target_leads(asking: Asking, requested: list[str]) -> None:
    assert asking('up{job="elsewhere"}') == {"elsewhere": 0}
    assert "private" not in requested


def test_what_has_new_names_in_every_scrape_leaves_the_memory(tmp_path: Path) -> None:
    """Also with times of its own, of which Prometheus would not notice that they end."""
    scrapes = itertools.count()

    def page(_: str) -> str:
        scrape, now = next(scrapes), int(time.time() * 1000)
        return "".join(f"made_{scrape}_{number} 1 {now}\n" for number in range(NEW_SERIES))

    most = 0.0
    with _answering(page) as port:
        configuration = _configuration(tmp_path, port, "1s", churn="apps")
        # A minute otherwise, of scrapes every 15 seconds.
        with _scraping(tmp_path, configuration, "--storage.tsdb.block-reload-interval=1s") as asked:

            def made() -> float:
                nonlocal most
                most = max(most, asked.own("prometheus_tsdb_head_series"))
                return asked.own("prometheus_tsdb_head_series_created_total")

            wait_until(lambda: made() > 25 * NEW_SERIES, lambda: (tmp_path / "log").read_text()[-3000:])
            found = asked("count by (job) (last_over_time({job='churn', __name__=~'made_.*'}[1m]))")
    assert most < 10 * NEW_SERIES
    assert found["churn"] > most  # on the disk

    # It was killed, and reads what it had not written to blocks.
    with _scraping(tmp_path, configuration | {"scrape_configs": []}) as asked:
        wait_until(lambda: asked.own("prometheus_ready") == 1, lambda: (tmp_path / "log").read_text()[-3000:])
        assert asked.own("prometheus_tsdb_head_series") < 10 * NEW_SERIES
