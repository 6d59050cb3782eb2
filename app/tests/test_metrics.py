import os
import re
import signal
import socket
from pathlib import Path

import pytest
import requests
from flask.testing import FlaskClient

from homeserver_app import exemplars, metrics

from .server import Server, broken_off, wait_until

OPENMETRICS = "application/openmetrics-text"


def value(text: str, sample: str) -> float:
    found = re.findall(rf"^{re.escape(sample)} (\S+)", text, re.M)
    assert len(found) == 1, f"{sample} in\n{text}"
    return float(found[0])


def test_counts_of_all_workers_are_summed(tmp_path: Path) -> None:
    with Server(tmp_path, workers=2) as server:
        sent = 0

        def both_served() -> bool:
            nonlocal sent
            for _ in range(20):
                server.get("/", Accept="application/json" if sent % 2 else "text/html")
                sent += 1
            return len(list(server.metrics_directory.glob("counter_*.db"))) == 2

        wait_until(both_served, "both workers have served")
        server.get("/nowhere/1")
        server.get("/nowhere/2")
        text = server.metrics()

    assert value(text, 'http_requests_total{browser="bot",method="GET",route="/",status="200"}') == sent
    assert value(text, 'http_requests_total{browser="bot",method="GET",route="unmatched",status="404"}') == 2
    assert value(text, 'http_request_duration_seconds_count{method="GET",route="/"}') == sent
    assert value(text, 'http_request_duration_seconds_bucket{le="+Inf",method="GET",route="/"}') == sent
    assert value(text, 'homeserver_app_greetings_total{format="html"}') == sent / 2
    assert value(text, 'homeserver_app_greetings_total{format="json"}') == sent / 2
    assert value(text, "http_requests_in_progress") == 0
    assert re.search(r'^homeserver_app_build_info\{python="3\.\S+",revision="unknown"\} 1\.0$', text, re.M)


def test_a_dead_worker_keeps_its_counts_but_nothing_in_progress(tmp_path: Path) -> None:
    with Server(tmp_path, "tests.slow:create_app()", workers=1) as server:
        server.get("/")
        visitor = broken_off(server, "/slow/60.0")
        wait_until(lambda: value(server.metrics(), "http_requests_in_progress") == 1, "one is in progress")
        [worker] = server.workers()
        os.kill(worker, signal.SIGKILL)
        visitor.join(10)
        wait_until(lambda: server.workers() not in ([], [worker]), "there is another worker")
        server.get("/")
        text = server.metrics()
        left = [file.name for file in server.metrics_directory.iterdir() if f"_{worker}." in file.name]
    assert value(text, "http_requests_in_progress") == 0
    assert value(text, 'http_requests_total{browser="bot",method="GET",route="/",status="200"}') == 2
    assert sorted(left) == [f"counter_{worker}.db", f"histogram_{worker}.db"]


def test_a_bucket_has_an_exemplar_within_its_bounds(tmp_path: Path) -> None:
    with Server(tmp_path, "tests.slow:create_app()", workers=2) as server:
        traces = {}
        for seconds in ("0.3", "0.7", "0.3"):
            traces[seconds] = server.get(f"/slow/{seconds}").headers["X-Trace-Id"]
        text = server.metrics(OPENMETRICS)
    labels = 'method="GET",route="/slow/<float:seconds>"'
    found = re.findall(rf'_bucket\{{le="([0-9.]+)",{labels}\}} \S+ # \{{trace_id="(\w+)"\}} (0\.\d)', text)
    assert found == [("0.5", traces["0.3"], "0.3"), ("1.0", traces["0.7"], "0.7")]
    assert text.endswith("# EOF\n")


def test_the_public_port_has_no_metrics(client: FlaskClient) -> None:
    assert client.get("/metrics").status_code == 404


def test_an_unknown_method_does_not_get_its_own_label(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        requests.request("BREW", f"http://127.0.0.1:{server.port}/", timeout=10)
        text = server.metrics()
    sample = 'http_requests_total{browser="bot",method="other",route="unmatched",status="405"}'
    assert value(text, sample) == 1


def test_browsers_are_counted_separately(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.get("/", **{"User-Agent": "Mozilla/5.0 (Macintosh) Version/18.5 Safari/605.1.15"})
        server.get("/", **{"User-Agent": "Mozilla/5.0 (X11; rv:145.0) Gecko/20100101 Firefox/145.0"})
        text = server.metrics()
        logged = [event["browser"] for event in server.events(logger="homeserver_app.access")]
    for browser in ("safari", "firefox"):
        labels = f'browser="{browser}",method="GET",route="/",status="200"'
        assert value(text, f"http_requests_total{{{labels}}}") == 1
    assert logged == ["safari", "firefox"]


def test_a_port_in_use_gives_one_clear_message(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = Server(tmp_path, metrics_port=port)
        with pytest.raises(AssertionError, match="exited with 1"):
            server.__enter__()
    message = server.output().splitlines()[-1]
    assert message.startswith(f"homeserver_app: cannot serve metrics on 127.0.0.1:{port} from ")
    assert message.endswith("Address already in use")
    assert "Traceback" not in server.output()


def test_metrics_of_an_earlier_run_are_not_counted(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.get("/")
        server.process.kill()
        server.process.wait()
    with Server(tmp_path) as server:
        assert 'route="/healthz"' in server.metrics()
        assert 'route="/"' not in server.metrics()


def test_the_directory_is_removed_with_the_server(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.get("/")
    assert not server.metrics_directory.exists()


def test_clearing_deletes_only_metrics(tmp_path: Path) -> None:
    for name in ("counter_1.db", "exemplars_1.json", "notes.txt"):
        (tmp_path / name).write_text("")
    metrics.remove(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_a_partially_written_exemplar_is_skipped(tmp_path: Path) -> None:
    mine = exemplars.ExemplarFile(tmp_path)
    mine.put({"le": "1.0"}, 0.5, "a" * 32)
    mine.put({"le": "1.0", "route": "x" * exemplars.WIDTH}, 0.5, "b" * 32)
    with exemplars.file_of(tmp_path, os.getpid()).open("a") as file:
        file.write('{"labels": {"le": "2.')
    assert [exemplar.labels for exemplar in exemplars.read(tmp_path).values()] == [{"trace_id": "a" * 32}]
