"""Every log line is found, with its pod or host, and none is lost on the way."""

import base64
import json
import sys
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from testinfra.host import Host

from harness.home import Home, Kubectl, eventually
from harness.logs import Logs, field
from harness.shipping import all_there, count, duplicates, remove, start_python, write_lines

SAFARI = "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15"

# Writes its argument, byte for byte.
ECHO = "import base64, sys, zlib; sys.stdout.buffer.write(zlib.decompress(base64.b64decode(sys.argv[1])))"
LONG = "x" * 100_000  # containerd splits it into seven

Write = Callable[..., str]


@pytest.fixture
def write(kubectl: Kubectl) -> Iterator[Write]:
    """Start pods that write a number of numbered lines over a time in seconds; return their mark."""
    written: list[str] = []

    def start(lines: int = 1, seconds: float = 0, **annotations: str) -> str:
        written.append(write_lines(kubectl, lines, seconds, **annotations))
        return written[-1]

    yield start
    remove(kubectl, *written)


@pytest.fixture
def echo(kubectl: Kubectl) -> Iterator[Callable[[str, list[bytes]], None]]:
    """Start a pod of this name that writes these lines, byte for byte."""
    written: list[str] = []

    def start(name: str, lines: list[bytes]) -> None:
        written.append(name)
        text = b"".join(line + b"\n" for line in lines)
        # Compressed, so that it is short enough for an argument.
        encoded = base64.b64encode(zlib.compress(text)).decode()
        start_python(kubectl, name, [ECHO, encoded])

    yield start
    remove(kubectl, *written)


# ---- Lines are found


def test_a_pods_line_has_its_metadata(logs: Logs, write: Write, kubectl: Kubectl) -> None:
    mark = write()
    (line,) = logs.wait(f'message:"{mark}"', "logs-app", seconds=60)
    node = kubectl.get(f"-n default pod {mark}")["spec"]["nodeName"]

    assert {
        name: field(line, name)
        for name in (
            *("kubernetes.namespace", "kubernetes.pod.name", "kubernetes.container.name", "log.level"),
            *("kubernetes.node.name", "host.name", "event.dataset", "service.name", "tags"),
        )
    } == {
        "kubernetes.namespace": "default",
        "kubernetes.pod.name": mark,
        "kubernetes.container.name": "writer",
        "kubernetes.node.name": node,
        "host.name": node,
        "event.dataset": "app",
        # From the Kubernetes API: the path of the log file does not contain it.
        "service.name": "writer",
        "log.level": "info",
        "tags": None,
    }


def test_an_unusual_line_is_found(logs: Logs, echo: Callable[[str, list[bytes]], None]) -> None:
    mark = f"m{uuid.uuid4().hex}"
    forged = {"@timestamp": "1970-01-01T00:00:00Z", "_id": "mine", "kubernetes": {"namespace": "kube-system"}}
    agent = {"user_agent": '"}\n{"message": "forged"}', "status": "teapot", "a.b": 1, "a": {"b": [None]}}
    odd = {
        "half": b'{"message": "%b half',
        "long": b"%b long " + LONG.encode(),
        "bytes": b"%b bytes gr\xfc\xdfe",
        "forged": json.dumps({"message": "%b forged"} | forged).encode(),
        "agent": json.dumps({"message": "%b agent"} | agent).encode(),
        "deep": b'{"message": "%b deep", "a": ' + b'{"a":' * 40 + b"1" + b"}" * 41,
    }
    echo(mark, [line % mark.encode() for line in odd.values()])

    found: dict[str, dict[str, Any]] = {}

    def all_found() -> bool:
        for line in logs.found(f'message:"{mark}"', "logs-app"):
            found[next(name for name in odd if f"{mark} {name}" in line["message"])] = line
        return found.keys() == odd.keys()

    assert eventually(all_found, seconds=60), found.keys()
    assert {field(line, "kubernetes.namespace") for line in found.values()} == {"default"}
    assert not any(line["@timestamp"].startswith("1970") for line in found.values())
    assert found["long"]["message"] == f"{mark} long {LONG}"
    assert found["bytes"]["message"] == f"{mark} bytes gr\ufffd\ufffde"
    assert found["half"]["tags"] == ["parse_failed"]
    assert found["deep"]["tags"] == ["too_complex"]
    assert field(found["agent"], "labels.browser") == "bot"
    assert not logs.found(f'message:forged AND kubernetes.pod.name:"{mark}" AND NOT message:"{mark}"')


def test_a_failed_request_is_in_the_logs_of_traefik_and_of_the_app(logs: Logs, home: Home) -> None:
    well, failed = (_request(home, path) for path in ("", "nowhere"))
    app = logs.wait(f'http.request.id:"{failed}"', "logs-app")[0]
    access = logs.wait(f'http.request.id:"{failed}"', "logs-traefik")[0]

    # One line is enough for one that went well.
    assert logs.wait(f'http.request.id:"{well}"', "logs-traefik")
    assert logs.found(f'http.request.id:"{well}"', "logs-app") == []
    for line in (access, app):
        assert field(line, "http.response.status_code") == 404
        assert field(line, "labels.browser") == "safari"
        assert field(line, "user_agent.original") == SAFARI
        assert field(line, "event.duration") > 0
    assert field(access, "trace.id") == field(app, "trace.id")


def _request(home: Home, path: str) -> str:
    """Request a page of the app, and return the request's id."""
    mark = f"r-{uuid.uuid4().hex}"
    headers = {"User-Agent": SAFARI, "X-Request-Id": mark}
    requests.get(f"https://hello.{home.domain}/{path}", headers=headers, verify=home.ca, timeout=10)
    return mark


def test_the_hosts_log_is_found(logs: Logs, host: Host) -> None:
    mark = uuid.uuid4().hex
    host.check_output(f"logger --tag drill --priority user.warning 'mark {mark}'")
    (line,) = logs.wait(f'message:"{mark}"', "logs-host")

    assert (field(line, "service.name"), field(line, "log.level")) == ("drill", "warning")
    assert logs.wait('systemd.unit:"snap.microk8s.daemon-kubelite.service"', "logs-kubernetes")


def test_a_pod_can_disable_log_collection(logs: Logs, write: Write) -> None:
    quiet, loud = write(enabled="false"), write()
    logs.wait(f'message:"{loud}"', "logs-app")
    time.sleep(5)  # time in which it would have arrived too

    assert logs.found(f'message:"{quiet}"', "logs-app") == []


# ---- No lines are lost


def test_nothing_is_lost_when_filebeat_is_killed(
    logs: Logs, write: Write, kubectl: Kubectl, host: Host
) -> None:
    lines = 20_000
    mark = write(lines, seconds=20)
    for _ in range(2):
        before = count(logs, mark)
        assert eventually(lambda before=before: count(logs, mark) > before, 60)  # type: ignore[misc]
        host.check_output("kill -KILL $(pidof filebeat)")
    assert eventually(lambda: bool(host.run("pidof filebeat").stdout), 120)

    all_there(logs, mark, lines, seconds=180)
    sys.stdout.write(f"{duplicates(kubectl)} lines were sent again after the kill, and refused\n")


# ---- Problems are reported


def test_a_line_that_does_not_arrive_is_reported_with_its_last_hop(logs: Logs, home: Home) -> None:
    logs.ask("logs-kubernetes/_settings", {"index.blocks.write": True}, "PUT")
    try:
        run = home.play("playbooks/stages/logging.yml", "-e", "elk_arrival_timeout_seconds=30")
    finally:
        logs.ask("logs-kubernetes/_settings", {"index.blocks.write": None}, "PUT")

    assert run.returncode != 0
    assert "A test line was logged, but Elasticsearch rejected it and stored it as invalid" in run.stdout
    again = home.play("playbooks/stages/logging.yml")
    assert again.returncode == 0, again.stdout[-3000:]
