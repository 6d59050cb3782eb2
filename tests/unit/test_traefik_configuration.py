"""The role's configuration file, read and obeyed by the real Traefik, on loopback."""

import http.server
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.programs import free_port
from tests.unit.rendering import find
from tests.unit.traefik_role import render

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS")  # its certificate is made up

SECRET = "a-secret-that-no-log-may-hold"


@dataclass(frozen=True)
class Traefik:
    """A running Traefik, by the addresses of its entry points and the file it logs to."""

    addresses: dict[str, str]
    log: Path

    def url(self, entry_point: str, path: str) -> str:
        """The URL of a path behind an entry point."""
        scheme = "https" if entry_point in ("websecure", "outside") else "http"
        return f"{scheme}://{self.addresses[entry_point]}{path}"

    def status(self, path: str) -> int:
        """What the port for probes and metrics answers."""
        return requests.get(self.url("metrics", path), timeout=5).status_code

    def lines(self, **fields: str) -> list[dict[str, Any]]:
        """The log's lines that have these fields."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if fields.items() <= line.items()]


@contextmanager
def running(
    directory: Path, configuration: dict[str, Any], probe: str = "/ping", **given: str
) -> Iterator[Traefik]:
    """Run Traefik on free ports of loopback until left, or at given addresses; wait for this probe first."""
    addresses = {name: _free_address() for name in configuration["entryPoints"]} | given
    for name, address in addresses.items():
        configuration["entryPoints"][name]["address"] = address
    (directory / "traefik.yaml").write_text(yaml.safe_dump(configuration))
    traefik = Traefik(addresses, directory / "log")
    environment = os.environ | {"CF_DNS_API_TOKEN": SECRET}
    with (
        traefik.log.open("w") as log,
        subprocess.Popen(
            ["traefik", f"--configfile={directory / 'traefik.yaml'}"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        ) as process,
    ):
        try:
            _wait_for(traefik, probe, process)
            yield traefik
        finally:
            process.kill()


def _wait_until(done: Callable[[], bool], traefik: Traefik) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline, traefik.log.read_text()
        time.sleep(0.1)


def _wait_for(traefik: Traefik, probe: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while not _answers(traefik, probe):
        assert process.poll() is None, traefik.log.read_text()
        assert time.monotonic() < deadline, traefik.log.read_text()
        time.sleep(0.1)


def _answers(traefik: Traefik, probe: str) -> bool:
    try:
        return traefik.status(probe) == 200
    except requests.ConnectionError:
        return False


def _free_address() -> str:
    return f"127.0.0.1:{free_port()}"


def _configuration(state: Path, **variables: Any) -> dict[str, Any]:
    objects = render(state, **variables)
    configuration: dict[str, Any] = yaml.safe_load(
        find(objects, "ConfigMap", "traefik")["data"]["traefik.yaml"]
    )
    return configuration


def _without_cluster(configuration: dict[str, Any]) -> dict[str, Any]:
    configuration["providers"]["kubernetesCRD"]["endpoint"] = "http://127.0.0.1:1"
    return configuration


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    """The URL of an app that answers with the headers it was sent."""

    class App(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Set-Cookie", f"session={SECRET}")
            self.send_header("X-Request-Id", "given-by-the-app")
            self.end_headers()
            self.wfile.write(json.dumps(dict(self.headers)).encode())

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def traefik(tmp_path_factory: pytest.TempPathFactory, backend: str) -> Iterator[Traefik]:
    """Traefik in front of that app."""
    directory = tmp_path_factory.mktemp("traefik")
    with in_front_of(backend, directory, homeserver_tracing_endpoint="") as traefik:
        yield traefik


@contextmanager
def in_front_of(app: str, directory: Path, **variables: Any) -> Iterator[Traefik]:
    """Run Traefik with routes from a file, as there is no cluster to read them from."""
    routers = {
        "app": {"rule": "PathPrefix(`/`)", "service": "app"},
        "ready": {"rule": "Path(`/ready`)", "service": "ping@internal", "entryPoints": ["metrics"]},
    }
    services = {"app": {"loadBalancer": {"servers": [{"url": app}]}}}
    (directory / "routes.yaml").write_text(
        yaml.safe_dump({"http": {"routers": routers, "services": services}})
    )
    configuration = _configuration(directory, **variables)
    configuration["providers"] = {"file": {"filename": str(directory / "routes.yaml")}}
    with running(directory, configuration, probe="/ready") as traefik:
        yield traefik


def _get(traefik: Traefik, path: str, entry_point: str = "websecure", **headers: str) -> requests.Response:
    return requests.get(traefik.url(entry_point, path), headers=headers, verify=False, timeout=5)  # noqa: S501


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"homeserver_tracing_endpoint": "http://127.0.0.1:4318", "traefik_trusted_proxies": ["10.0.0.0/8"]},
        {"traefik_accept_traceparent": False},
        {"homeserver_acme_email": "owner@example.org", "traefik_acme_challenge": "http"},
        {"homeserver_acme_email": "owner@example.org", "traefik_acme_challenge": "tls"},
        {
            "homeserver_acme_email": "owner@example.org",
            "traefik_acme_challenge": "dns",
            "traefik_acme_dns_provider": "cloudflare",
        },
    ],
    ids=["defaults", "tracing", "replaced-traces", "acme-http", "acme-tls", "acme-dns"],
)
def test_every_variant_is_understood(tmp_path: Path, variables: dict[str, Any]) -> None:
    configuration = _without_cluster(_configuration(tmp_path, **variables))
    if "file" in configuration["providers"]:
        files = find(render(tmp_path, **variables), "ConfigMap", "traefik")["data"]
        (tmp_path / "outside.yaml").write_text(files["outside.yaml"])
        configuration["providers"]["file"]["filename"] = str(tmp_path / "outside.yaml")
    if "certificatesResolvers" in configuration:
        configuration["certificatesResolvers"]["acme"]["acme"]["storage"] = str(tmp_path / "acme.json")

    with running(tmp_path, configuration) as traefik:
        problems = [line for line in traefik.lines() if line["level"] in ("warn", "error")]

    # Without a cluster it cannot be ready; and two of its warnings cannot be silenced.
    expected = ("kubernetescrd", "encoded characters", "Cross-provider references")
    assert [line for line in problems if not any(word in json.dumps(line) for word in expected)] == []


def test_it_is_alive_but_not_ready_before_it_has_read_its_routes(tmp_path: Path) -> None:
    with running(tmp_path, _without_cluster(_configuration(tmp_path))) as traefik:
        assert traefik.status("/ping") == 200
        assert traefik.status("/ready") == 404


def test_the_log_holds_the_request_but_no_secret(traefik: Traefik) -> None:
    answer = _get(
        traefik,
        f"/photos?token={SECRET}",
        **{
            "User-Agent": "test/1",
            "Authorization": f"Bearer {SECRET}",
            "Cookie": f"session={SECRET}",
            "Referer": f"https://home.arpa/?token={SECRET}",
            "X-Api-Key": SECRET,
        },
    )
    (line,) = traefik.lines(RequestPath="/photos")

    assert answer.json()["Cookie"] == f"session={SECRET}"  # the app got it
    assert SECRET not in traefik.log.read_text()
    assert line["request_User-Agent"] == "test/1"
    assert line["downstream_X-Request-Id"] == "given-by-the-app"
    assert (line["RouterName"], line["ServiceName"]) == ("app@file", "app@file")
    assert (line["RequestMethod"], line["DownstreamStatus"]) == ("GET", 200)
    assert line["Duration"] > line["OriginDuration"] > 0


def test_the_log_and_the_app_have_the_same_trace_id_also_without_tracing(traefik: Traefik) -> None:
    (version, trace, _, flags) = _get(traefik, "/traced").json()["Traceparent"].split("-")
    (line,) = traefik.lines(RequestPath="/traced")

    assert (version, flags) == ("00", "00")
    assert line["trace_id"] == trace


def test_nobody_can_claim_another_address(traefik: Traefik) -> None:
    seen = _get(
        traefik, "/claim", **{"X-Forwarded-For": "192.0.2.66", "X_Forwarded_For": "192.0.2.77"}
    ).json()
    (line,) = traefik.lines(RequestPath="/claim")

    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert "X_Forwarded_For" not in seen
    assert line["ClientHost"] == "127.0.0.1"


def test_plain_http_is_sent_to_the_port_that_clients_know(traefik: Traefik) -> None:
    answer = requests.get(
        traefik.url("web", "/a?b=c"), headers={"Host": "x.home.arpa"}, allow_redirects=False, timeout=5
    )

    assert (answer.status_code, answer.headers["Location"]) == (301, "https://x.home.arpa/a?b=c")


def test_routes_are_not_served_on_the_port_for_metrics(traefik: Traefik) -> None:
    assert traefik.status("/photos") == 404
    assert traefik.status("/metrics") == 200
    assert _get(traefik, "/metrics").headers["X-Request-Id"] == "given-by-the-app"


def test_an_old_connection_is_closed_between_two_requests(tmp_path: Path, backend: str) -> None:
    with in_front_of(backend, tmp_path, traefik_drain_time=1) as traefik, requests.Session() as session:
        young = session.get(traefik.url("websecure", "/"), verify=False, timeout=5)
        time.sleep(1)
        old = session.get(traefik.url("websecure", "/"), verify=False, timeout=5)

    assert "Connection" not in young.headers
    assert old.headers["Connection"] == "close"


TRACE = "0af7651916cd43dd8448eb211c80319c"
FOREIGN = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "a=b"}


def test_a_foreign_trace_goes_on(traefik: Traefik) -> None:
    seen = _get(traefik, "/foreign", **FOREIGN).json()
    (line,) = traefik.lines(RequestPath="/foreign")

    assert TRACE in seen["Traceparent"]
    assert line["trace_id"] == TRACE


@pytest.fixture
def replacing(tmp_path: Path, backend: str) -> Iterator[Traefik]:
    """Traefik in front of that app, which gives every request a trace of its own."""
    files = find(render(tmp_path, traefik_accept_traceparent=False), "ConfigMap", "traefik")["data"]
    configuration = yaml.safe_load(files["traefik.yaml"])
    inside = _free_address()
    routes = tmp_path / "routes"
    routes.mkdir()
    (routes / "outside.yaml").write_text(files["outside.yaml"].replace("127.0.0.1:8444", inside))
    routers = {
        "app": {"rule": "PathPrefix(`/`)", "service": "app", "entryPoints": ["websecure"]},
        "ready": {"rule": "Path(`/ready`)", "service": "ping@internal", "entryPoints": ["metrics"]},
    }
    services = {"app": {"loadBalancer": {"servers": [{"url": backend}]}}}
    (routes / "app.yaml").write_text(yaml.safe_dump({"http": {"routers": routers, "services": services}}))
    configuration["providers"] = {"file": {"directory": str(routes)}}
    with running(tmp_path, configuration, probe="/ready", websecure=inside) as traefik:
        # Its entry points take over their routes one after the other.
        _wait_until(lambda: _get(traefik, "/", "outside").status_code == 200, traefik)
        yield traefik


def test_a_foreign_trace_is_replaced_in_the_log_and_at_the_app(replacing: Traefik) -> None:
    headers = FOREIGN | {"X-Forwarded-For": "192.0.2.66", "Host": "hello.home.arpa"}
    seen = _get(replacing, "/foreign", "outside", **headers).json()
    (line,) = replacing.lines(RequestPath="/foreign")

    assert line["trace_id"] in seen["Traceparent"]
    assert line["trace_id"] != TRACE
    assert seen.get("Tracestate", "") == ""
    # And nothing else shows that it passed twice.
    assert seen["X-Forwarded-For"] == line["ClientHost"] == "127.0.0.1"
    assert (seen["Host"], seen["X-Forwarded-Proto"]) == ("hello.home.arpa", "https")
    assert line["RequestHost"] == "hello.home.arpa"
    assert line["entryPointName"] == "websecure"


def test_clients_are_told_apart_by_what_the_first_passage_says(tmp_path: Path) -> None:
    objects = render(tmp_path, traefik_accept_traceparent=False)

    for name, limit in {"rate-limit": "rateLimit", "in-flight": "inFlightReq"}.items():
        criterion = find(objects, "Middleware", name)["spec"][limit]["sourceCriterion"]
        assert criterion == {"ipStrategy": {"depth": 1}}
