"""Jaeger with the role's configuration, on the real Elasticsearch with its user's rights."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import requests
import yaml

from harness.programs import free_port, jaeger
from harness.rendering import ROOT
from harness.search import Engine, elasticsearch_running
from harness.tracing_role import Role
from harness.waiting import wait_until

PASSWORD = {"jaeger": "jaegers-own", "admin": "the-owners"}
WITH_PASSWORDS = {
    "xpack.security.enabled": True,
    "xpack.security.autoconfiguration.enabled": False,
    "xpack.security.http.ssl.enabled": False,
    "xpack.security.transport.ssl.enabled": False,
    "xpack.security.authc.realms.file.file.order": 0,
}
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def elasticsearch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Elasticsearch with the roles of the role elk, and two of its users."""
    hashed = {
        user: bcrypt.hashpw(password.encode(), bcrypt.gensalt(4, b"2a")).decode()
        for user, password in PASSWORD.items()
    }
    files = {
        "roles.yml": (ROOT / "roles/elk/files/elasticsearch/roles.yml").read_text(),
        "users": "".join(f"{user}:{password}\n" for user, password in hashed.items()),
        "users_roles": "tracing:jaeger\nsuperuser:admin\n",
    }
    with elasticsearch_running(tmp_path_factory.mktemp("elasticsearch"), WITH_PASSWORDS, files) as engine:
        yield engine


def _on_loopback(directory: Path, engine: Engine, password: str) -> tuple[dict[str, Any], str, str]:
    """Return the configuration without a cluster and TLS, the URL for spans, and that of the API."""
    configuration = Role(directory).configuration("jaeger")
    (directory / "password").write_text(password)
    extensions = configuration["extensions"]
    backend = extensions["jaeger_storage"]["backends"]["elasticsearch"]["elasticsearch"]
    backend["server_urls"] = [engine.url]
    backend["auth"]["basic"]["password_file"] = str(directory / "password")
    del backend["tls"]
    spans, query, grpc, health, metrics = (free_port() for _ in range(5))
    extensions["healthcheckv2"]["http"]["endpoint"] = f"127.0.0.1:{health}"
    extensions["jaeger_query"]["http"]["endpoint"] = f"127.0.0.1:{query}"
    extensions["jaeger_query"]["grpc"]["endpoint"] = f"127.0.0.1:{grpc}"
    configuration["receivers"]["otlp"]["protocols"] = {"http": {"endpoint": f"127.0.0.1:{spans}"}}
    (reader,) = configuration["service"]["telemetry"]["metrics"]["readers"]
    reader["pull"]["exporter"]["prometheus"] = {"host": "127.0.0.1", "port": metrics}
    return configuration, f"http://127.0.0.1:{spans}/v1/traces", f"http://127.0.0.1:{query}/api"


@contextmanager
def _running(directory: Path, configuration: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    file = directory / "jaeger.yaml"
    file.write_text(yaml.safe_dump(configuration))
    environment = os.environ | {"OTEL_TRACES_SAMPLER": "always_off"}
    with (
        (directory / "log").open("w") as log,
        subprocess.Popen([jaeger(), f"--config={file}"], stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _answer(url: str, log: Path) -> Any:
    """Send requests until one succeeds."""
    answers: list[Any] = []

    def succeeds() -> bool:
        with suppress(requests.ConnectionError):
            answer = requests.get(url, timeout=30)
            answers.extend([answer.json()] if answer.ok else [])
        return bool(answers)

    wait_until(succeeds, log.read_text)
    return answers[0]


def _span() -> dict[str, Any]:
    now = time.time_ns()
    return {
        "traceId": TRACE,
        "spanId": TRACE[:16],
        "name": "GET /",
        "kind": 2,
        "startTimeUnixNano": str(now - 5_000_000),
        "endTimeUnixNano": str(now),
    }


def test_a_span_is_stored_and_found_with_its_pod(tmp_path: Path, elasticsearch: Engine) -> None:
    configuration, spans, api = _on_loopback(tmp_path, elasticsearch, PASSWORD["jaeger"])
    named = {"service.name": "hello", "k8s.pod.name": "hello-1"}
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in named.items()]
    sent = {"resource": {"attributes": attributes}, "scopeSpans": [{"spans": [_span()]}]}
    with _running(tmp_path, configuration):
        _answer(f"{api}/services", tmp_path / "log")
        assert requests.post(spans, json={"resourceSpans": [sent]}, timeout=60).status_code == 200
        found = _answer(f"{api}/traces/{TRACE}", tmp_path / "log")

    (process,) = found["data"][0]["processes"].values()
    assert process["serviceName"] == "hello"
    assert {"key": "k8s.pod.name", "type": "string", "value": "hello-1"} in process["tags"]
    owner = ("admin", PASSWORD["admin"])
    indices = elasticsearch.ask("_cat/indices/jaeger-*?format=json", auth=owner)
    # One index a day, which the role elk deletes; green on a single node.
    assert {index["index"][:-10] for index in indices} == {"jaeger-span-", "jaeger-service-"}
    assert {(index["health"], index["rep"]) for index in indices} == {("green", "0")}


def test_a_wrong_password_is_logged_in_one_line(tmp_path: Path, elasticsearch: Engine) -> None:
    configuration, _, _ = _on_loopback(tmp_path, elasticsearch, "another")
    with _running(tmp_path, configuration) as process:
        assert process.wait(60) == 1

    (*_, last) = (tmp_path / "log").read_text().splitlines()
    assert last.endswith("failed to create Elasticsearch client: elastic: Error 401 (Unauthorized)")


def test_its_user_may_access_only_traces(elasticsearch: Engine) -> None:
    def status(path: str) -> int:
        url = f"{elasticsearch.url}/{path}"
        return requests.put(url, auth=("jaeger", PASSWORD["jaeger"]), json={}, timeout=60).status_code

    assert status("logs-mine") == 403
    assert status("jaeger-mine") == 200
