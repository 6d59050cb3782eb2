import socket
import subprocess
import sys
from pathlib import Path

import pytest

from .server import APP, Server, free_port


def load(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "loadtest", url, "--users", "4", "--seconds", "2", *options]
    return subprocess.run(command, cwd=APP, capture_output=True, text=True, check=False, timeout=60)


def test_it_prints_the_results_and_passes(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        result = load(f"http://hello.home.arpa:{server.port}", "--address", "127.0.0.1", "--min-rate", "10")
    assert result.returncode == 0, result.stderr
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
    assert list(rows) == ["requests", "rate", "failed", "p50", "p95", "p99"]
    assert int(rows["requests"][0]) > 20
    assert rows["failed"] == ["0", "(0.00", "%)"]
    assert 0 < float(rows["p50"][0]) <= float(rows["p95"][0]) <= float(rows["p99"][0])


def test_each_exceeded_limit_fails_it(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        result = load(f"http://127.0.0.1:{server.port}", "--min-rate", "1e9", "--max-p99", "0.001")
    assert result.returncode == 1
    assert [line.split(" ", 1)[0] for line in result.stderr.splitlines()] == ["FAILED:", "FAILED:"]
    assert "requests per second, fewer than 1e+09" in result.stderr
    assert "ms, more than 0.001 ms" in result.stderr


@pytest.mark.parametrize("options", [(), ("--max-errors", "99")])
def test_an_unreachable_server_fails_it(options: tuple[str, ...]) -> None:
    result = load(f"http://127.0.0.1:{free_port()}", *options)
    assert result.returncode == 1
    assert "FAILED: 100.00 % of the requests failed" in result.stderr
    assert "times: [Errno 111] Connection refused" in result.stdout


def test_a_missing_response_fails_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = load(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert result.returncode == 1
    assert result.stderr == "FAILED: not one request was answered\n"
