"""Passwords of pages with a login form: each way to send one is limited, by the real Traefik."""

import http.client
import http.server
import itertools
import ssl
from collections.abc import Iterator

import pytest

from harness import elk_role, grafana_role
from harness.rendering import Object
from harness.traefik import Traefik, in_front_of, serving

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS")  # its certificate is made up

BURST = 10
BASIC = {"Authorization": "Basic YWRtaW46Z3Vlc3M="}
# What Grafana's and Kibana's routers take for their login, and what a proxy may make of a path.
SPELLINGS = {
    "grafana": [
        "/login",
        "/login/",
        "/login//",
        "//login",
        "/./login",
        "/a/../login",
        "/login/.",
        "/%6Cogin",
        "/%6cogi%6E/",
        "/login%2F",
        "/login%2f",
        "/%2Flogin",
        "/Login",
        "/LOGIN/",
        "/login?a=b",
        "http://grafana.home.arpa/login/",
    ],
    "kibana": [
        "/internal/security/login",
        "/internal/security/login/",
        "//internal//security//login",
        "/s/x/internal/security/login",
        "/s/my-space_2/internal/security/login/",
        "/s/x//internal/security/login",
        "/internal/security/logi%6E",
        "/internal/%73ecurity/login",
        "/internal%2Fsecurity%2Flogin",
        "/Internal/Security/Login",
        "/api/security/v1/login",
        "/internal/security/login?a=b",
    ],
}
CASES = [(page, path) for page, paths in SPELLINGS.items() for path in paths]
CLIENTS = (f"127.0.{each // 200 + 1}.{each % 200 + 1}" for each in itertools.count())


class App(http.server.BaseHTTPRequestHandler):
    """Answers everything."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        self.do_POST()

    def do_POST(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture(scope="module")
def traefik(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traefik]:
    """Traefik in front of Grafana and Kibana, for clients with any address of loopback."""
    state = tmp_path_factory.mktemp("traefik")
    elk = elk_role.Role(state)
    routes: list[Object] = [*grafana_role.render(state), *elk.objects(["kibana.yaml.j2"])]
    with (
        serving(App) as app,
        in_front_of(
            app, state, routes, homeserver_tracing_endpoint="", traefik_lan_networks=["127.0.0.0/8"]
        ) as it,
    ):
        yield it


def _answers(
    traefik: Traefik, page: str, path: str, method: str = "POST", headers: dict[str, str] | None = None
) -> set[int]:
    """Ask more often than a login may be tried, as a client of its own, with the path as it is written."""
    (host, port) = traefik.addresses[traefik.public].split(":")
    context = ssl._create_unverified_context()  # noqa: S323
    connection = http.client.HTTPSConnection(
        host, int(port), timeout=30, context=context, source_address=(next(CLIENTS), 0)
    )
    answers = set()
    for _ in range(BURST + 4):
        connection.request(method, path, headers={"Host": f"{page}.home.arpa"} | (headers or {}))
        with connection.getresponse() as answer:
            answer.read()
            answers.add(answer.status)
    connection.close()
    return answers


@pytest.mark.parametrize(("page", "path"), CASES)
def test_a_login_is_limited_in_every_spelling(traefik: Traefik, page: str, path: str) -> None:
    # What Traefik refuses to pass on is no login.
    assert _answers(traefik, page, path) in ({200, 429}, {400})


@pytest.mark.parametrize("page", SPELLINGS)
def test_a_password_with_any_request_is_limited(traefik: Traefik, page: str) -> None:
    for scheme in ("Basic", "basic", "BASIC"):
        headers = {"Authorization": BASIC["Authorization"].replace("Basic", scheme)}
        assert _answers(traefik, page, "/api/anything", "GET", headers) == {200, 429}


@pytest.mark.parametrize(
    ("page", "method", "path"),
    [
        ("grafana", "GET", "/login"),
        ("grafana", "GET", "/"),
        ("grafana", "POST", "/api/ds/query"),
        ("kibana", "GET", "/login"),
        ("kibana", "POST", "/internal/bsearch"),
        ("kibana", "GET", "/s/x/app/home"),
    ],
)
def test_other_requests_are_not(traefik: Traefik, page: str, method: str, path: str) -> None:
    assert _answers(traefik, page, path, method) == {200}
