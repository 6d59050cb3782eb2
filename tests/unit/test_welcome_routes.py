"""Who opens the page on which devices learn to trust the home: its routes in the real Traefik."""

import http.server
from collections.abc import Iterator
from typing import Any

import pytest

from harness.rendering import Role
from harness.traefik import Traefik, in_front_of, serving

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS")  # its certificate is made up

HOME, STRANGER, PROXY = "127.0.0.1", "127.0.0.2", "127.0.0.3"
VARIABLES: dict[str, Any] = {"homeserver_tracing_endpoint": "", "traefik_lan_networks": [f"{HOME}/32"]}
# How a request may pass: once, twice, or by a proxy.
PASSAGES: dict[str, dict[str, Any]] = {
    "once": {},
    "twice": {"traefik_accept_traceparent": False},
    "proxied": {"traefik_trusted_proxies": [PROXY], "traefik_lan_networks": [f"{HOME}/32", f"{PROXY}/32"]},
}


class App(http.server.BaseHTTPRequestHandler):
    """Answers everything."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module", params=PASSAGES)
def traefik(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traefik]:
    """Traefik, with requests that pass in each of these ways."""
    state = tmp_path_factory.mktemp("traefik")
    variables = VARIABLES | PASSAGES[request.param]
    built = {"homeserver_built_images": {"homeserver-welcome": "welcome:1"}}
    routes = Role("welcome", state, **variables, **built).objects()
    with serving(App) as url, in_front_of(url, state, routes, **variables) as running:
        yield running


def _ask(traefik: Traefik, host: str, path: str, client: str = HOME, **headers: str) -> int:
    answer = traefik.get(path, client, "web", headers={"Host": host} | headers)
    if answer.is_redirect:
        assert answer.headers["Location"] == f"https://{host.partition(':')[0]}{path}"
    return answer.status_code


@pytest.mark.parametrize("host", ["192.168.1.10", "192.168.1.10:80", "[fd00::10]"])
def test_an_address_has_the_page_and_nothing_else(traefik: Traefik, host: str) -> None:
    assert [_ask(traefik, host, path) for path in ("/trust", "/trust/home-ca.crt")] == [200] * 2
    if ":" not in host:
        assert [_ask(traefik, host, path) for path in ("/", "/login", "/a?b=c")] == [301] * 3


def test_its_own_name_has_the_page_under_every_path(traefik: Traefik) -> None:
    assert [_ask(traefik, "home.local", path) for path in ("/", "/trust", "/trust/check.js")] == [200] * 3
    assert [_ask(traefik, host, "/") for host in ("homeXlocal", "other.local", "my.home.local")] == [301] * 3


@pytest.mark.parametrize("host", ["hello", "whoami", "welcome", "nobody"])
def test_names_of_the_home_redirect_as_before(traefik: Traefik, host: str) -> None:
    assert [_ask(traefik, f"{host}.home.arpa", path) for path in ("/", "/trust", "/trust/x")] == [301] * 3


def test_the_check_tells_an_unknown_name_from_a_missing_trust(traefik: Traefik) -> None:
    assert _ask(traefik, "welcome.home.arpa", "/trust/reached") == 200
    assert _ask(traefik, "hello.home.arpa", "/trust/reached") == 301


def test_only_the_home_opens_it(traefik: Traefik) -> None:
    claim = {"X-Forwarded-For": HOME, "X-Real-Ip": HOME}

    for host, path in (
        ("192.168.1.10", "/trust"),
        ("home.local", "/"),
        ("welcome.home.arpa", "/trust/reached"),
    ):
        assert _ask(traefik, host, path, STRANGER) == 403
        assert _ask(traefik, host, path, STRANGER, **claim) == 403


def test_over_https_only_the_home_opens_it(traefik: Traefik) -> None:
    assert traefik.get("/", STRANGER, headers={"Host": "welcome.home.arpa"}).status_code == 403


def test_browsers_may_ask_for_its_name_over_http(traefik: Traefik) -> None:
    """Else the check could not ask for the name of the page over HTTP any more."""
    answer = traefik.get("/trust/reached", headers={"Host": "welcome.home.arpa"})

    assert "Strict-Transport-Security" not in answer.headers


def test_who_comes_through_a_proxy_has_no_known_address(tmp_path_factory: pytest.TempPathFactory) -> None:
    state = tmp_path_factory.mktemp("proxied")
    variables = VARIABLES | PASSAGES["proxied"]
    built = {"homeserver_built_images": {"homeserver-welcome": "welcome:1"}}
    routes = Role("welcome", state, **variables, **built).objects()
    with serving(App) as url, in_front_of(url, state, routes, **variables) as traefik:
        assert _ask(traefik, "192.168.1.10", "/trust", PROXY) == 301
        assert _ask(traefik, "home.local", "/", PROXY, **{"X-Forwarded-For": HOME}) == 301
