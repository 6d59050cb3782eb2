"""The role's configuration, run by the real Traefik on loopback."""

import contextlib
import http.server
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from harness.rendering import find
from harness.traefik import Traefik, in_front_of, running, serving, wait_until
from harness.traefik_role import behind_files, render

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS")  # its certificate is self-signed

VERSIONS = {"traefik.io": "v1alpha1", "discovery.k8s.io": "v1"}
SECRET = "a-secret-that-no-log-may-hold"


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

    with serving(App) as url:
        yield url


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of an app that answers no connection, as one on a node without power."""
    with socket.socket() as listening, contextlib.ExitStack() as queue:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):  # a full queue drops what comes
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(scope="module")
def traefik(tmp_path_factory: pytest.TempPathFactory, backend: str) -> Iterator[Traefik]:
    """Traefik in front of that app."""
    directory = tmp_path_factory.mktemp("traefik")
    with in_front_of(backend, directory, homeserver_tracing_endpoint="") as traefik:
        yield traefik


def _get(traefik: Traefik, path: str, entry_point: str = "websecure", **headers: str) -> requests.Response:
    return requests.get(traefik.url(entry_point, path), headers=headers, verify=False, timeout=30)  # noqa: S501


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
def test_every_variant_is_accepted(tmp_path: Path, variables: dict[str, Any]) -> None:
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


@pytest.fixture
def asked() -> Iterator[tuple[str, set[str]]]:
    """The URL of a Kubernetes API that refuses everything, and the paths it was asked for."""
    paths: set[str] = set()

    class Api(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.add(self.path.partition("?")[0])
            self.send_error(403)

    with serving(Api) as url:
        yield url, paths


def test_it_asks_for_what_its_roles_allow_and_for_nothing_else(
    tmp_path: Path, asked: tuple[str, set[str]]
) -> None:
    routes = [
        {"name": "wiki", "host": "wiki.home.arpa", "service": {"namespace": "wiki", "name": "w", "port": 1}}
    ]
    (url, paths) = asked
    objects = render(tmp_path, traefik_routes=routes, apps_state="absent")
    configuration = yaml.safe_load(find(objects, "ConfigMap", "traefik")["data"]["traefik.yaml"])
    configuration["providers"]["kubernetesCRD"]["endpoint"] = url
    allowed = set(_allowed(objects))

    with running(tmp_path, configuration) as traefik:
        wait_until(lambda: len(paths) >= len(allowed), traefik)

    assert paths == allowed
    assert {path.split("/namespaces/")[1] for path in paths if path.endswith("/secrets")} == {
        f"{namespace}/secrets"
        for namespace in ("logging", "monitoring", "tracing", "traefik", "welcome", "wiki")
    }
    assert not {each["kind"] for each in objects} & {"ClusterRole", "ClusterRoleBinding"}


def _allowed(objects: list[dict[str, Any]]) -> Iterator[str]:
    """The paths of the lists that Traefik's roles let it read, each bound to it."""
    bound = {each["metadata"]["namespace"] for each in objects if each["kind"] == "RoleBinding"}
    for role in objects:
        if role["kind"] == "Role" and role["metadata"]["namespace"] in bound:
            for rule in role["rules"]:
                (group,) = rule["apiGroups"]
                root = f"/apis/{group}/{VERSIONS[group]}" if group else "/api/v1"
                for resource in rule["resources"]:
                    yield f"{root}/namespaces/{role['metadata']['namespace']}/{resource}"


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

    assert answer.json()["Cookie"] == f"session={SECRET}"  # the app received it
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


def test_http_is_redirected_to_the_public_port(traefik: Traefik) -> None:
    answer = requests.get(
        traefik.url("web", "/a?b=c"), headers={"Host": "x.home.arpa"}, allow_redirects=False, timeout=5
    )

    assert (answer.status_code, answer.headers["Location"]) == (301, "https://x.home.arpa/a?b=c")


def test_routes_are_not_served_on_the_port_for_metrics(traefik: Traefik) -> None:
    assert traefik.status("/photos") == 404
    assert traefik.status("/metrics") == 200
    assert _get(traefik, "/metrics").headers["X-Request-Id"] == "given-by-the-app"


def _handshake(traefik: Traefik, curve: str) -> None:
    """Offer one curve alone."""
    context = ssl._create_unverified_context()  # noqa: S323
    context.set_ecdh_curve(curve)
    (host, port) = traefik.addresses["websecure"].split(":")
    with (
        socket.create_connection((host, int(port)), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="a.home.arpa"),
    ):
        pass


@pytest.mark.parametrize("curve", ["X25519", "prime256v1", "secp384r1"])
def test_a_curve_that_browsers_know_is_taken(traefik: Traefik, curve: str) -> None:
    _handshake(traefik, curve)


def test_another_curve_is_not(traefik: Traefik) -> None:
    """It costs an attacker little to ask for it, and Traefik much."""
    with pytest.raises(ssl.SSLError):
        _handshake(traefik, "secp521r1")


def test_an_old_connection_is_closed_between_two_requests(tmp_path: Path, backend: str) -> None:
    with in_front_of(backend, tmp_path, traefik_drain_seconds=1) as traefik, requests.Session() as session:
        young = session.get(traefik.url("websecure", "/"), verify=False, timeout=30)
        time.sleep(1)
        old = session.get(traefik.url("websecure", "/"), verify=False, timeout=30)

    assert "Connection" not in young.headers
    assert old.headers["Connection"] == "close"


TRACE = "0af7651916cd43dd8448eb211c80319c"
FOREIGN = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "a=b"}


def test_a_foreign_trace_is_continued(traefik: Traefik) -> None:
    seen = _get(traefik, "/foreign", **FOREIGN).json()
    (line,) = traefik.lines(RequestPath="/foreign")

    assert TRACE in seen["Traceparent"]
    assert line["trace_id"] == TRACE


@pytest.fixture
def replacing(tmp_path: Path, backend: str) -> Iterator[Traefik]:
    """Traefik in front of that app, which gives every request a trace of its own."""
    with in_front_of(backend, tmp_path, traefik_accept_traceparent=False) as traefik:
        yield traefik


def test_a_foreign_trace_is_replaced_in_the_log_and_at_the_app(replacing: Traefik) -> None:
    headers = FOREIGN | {"X-Forwarded-For": "192.0.2.66", "Host": "hello.home.arpa"}
    seen = _get(replacing, "/foreign", "outside", **headers).json()
    (line,) = replacing.lines(RequestPath="/foreign")

    assert line["trace_id"] in seen["Traceparent"]
    assert line["trace_id"] != TRACE
    assert seen.get("Tracestate", "") == ""
    # Nothing else shows that it passed Traefik twice.
    assert seen["X-Forwarded-For"] == line["ClientHost"] == "127.0.0.1"
    assert (seen["Host"], seen["X-Forwarded-Proto"]) == ("hello.home.arpa", "https")
    assert line["RequestHost"] == "hello.home.arpa"
    assert line["entryPointName"] == "websecure"


def test_a_pod_that_does_not_answer_costs_seconds_and_no_request(
    tmp_path: Path, backend: str, silent: str
) -> None:
    objects = render(tmp_path, homeserver_tracing_endpoint="")
    routes = behind_files(objects, backend)
    routes["http"]["routers"] = {
        "ready": routes["http"]["routers"]["ready-0"],
        "app": {"rule": "PathPrefix(`/`)", "service": "app", "middlewares": ["retry"]},
    }
    routes["http"]["services"]["app"]["loadBalancer"]["servers"].append({"url": silent})
    (tmp_path / "routes.yaml").write_text(yaml.safe_dump(routes))
    configuration = yaml.safe_load(find(objects, "ConfigMap", "traefik")["data"]["traefik.yaml"])
    configuration["providers"] = {"file": {"filename": str(tmp_path / "routes.yaml")}}
    with running(tmp_path, configuration, probe="/ready") as traefik:
        wait_until(lambda: traefik.get("/").status_code != 404, traefik)
        began = time.monotonic()
        assert [traefik.get("/").status_code for _ in range(4)] == [200] * 4
        # Two of the four were led to it first.
        assert 3 < time.monotonic() - began < 60
