"""Who gets how far: the role's middlewares in the real Traefik, asked from several addresses of loopback."""

import http.server
import json
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from harness.rendering import find
from harness.traefik import Traefik, in_front_of, serving
from harness.traefik_role import Role, render

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS")  # its certificate is made up

HOME, STRANGER, PROXY = "127.0.0.1", "127.0.0.2", "127.0.0.3"
GUEST = ("ada", "not-a-secret")
VARIABLES: dict[str, Any] = {
    "homeserver_tracing_endpoint": "",
    "traefik_lan_networks": [f"{HOME}/32"],
    "traefik_basic_auth_users": [{"name": "ada", "password": "not-a-secret"}],
    "traefik_routes": [
        {"name": "nas", "host": "nas.home.arpa", "url": "http://192.0.2.1"},
        {
            "name": "open",
            "host": "open.home.arpa",
            "url": "http://192.0.2.1",
            "middlewares": [],
            "auth": True,
        },
        {"name": "rare", "host": "rare.home.arpa", "url": "http://192.0.2.1", "middlewares": ["rate-limit"]},
        {"name": "slow", "host": "slow.home.arpa", "url": "http://192.0.2.1", "middlewares": ["in-flight"]},
    ],
}
# How a request may pass: once, twice, or by a proxy.
PASSAGES: dict[str, dict[str, Any]] = {
    "once": {},
    "twice": {"traefik_accept_traceparent": False},
    "proxied": {"traefik_trusted_proxies": [PROXY]},
}


class App(http.server.BaseHTTPRequestHandler):
    """Answers with the headers it was sent, lets every page read that, and is slow under /slow."""

    def do_GET(self) -> None:
        """Answer."""
        if self.path == "/slow":
            time.sleep(2)
        self.send_response(200)
        for name in ("Origin", "Credentials", "Methods", "Headers"):
            self.send_header(f"Access-Control-Allow-{name}", "*")
        self.end_headers()
        self.wfile.write(json.dumps(dict(self.headers)).encode())


@pytest.fixture(scope="module")
def app() -> Iterator[str]:
    """The URL of that app."""
    with serving(App) as url:
        yield url


@pytest.fixture(scope="module", params=PASSAGES)
def traefik(request: Any, app: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traefik]:
    """Traefik, with requests that pass in each of these ways."""
    variables = VARIABLES | PASSAGES[request.param]
    with in_front_of(app, tmp_path_factory.mktemp("traefik"), **variables) as running:
        yield running


def _ask(traefik: Traefik, host: str, client: str = HOME, **options: Any) -> int:
    headers = options.pop("headers", {}) | {"Host": f"{host}.home.arpa"}
    return traefik.get(options.pop("path", "/"), client, headers=headers, **options).status_code


@pytest.mark.parametrize("host", ["nas", "whoami", "traefik"])
def test_only_the_home_opens_what_is_no_app(traefik: Traefik, host: str) -> None:
    claim = {"X-Forwarded-For": HOME, "X_Forwarded_For": HOME, "X-Real-Ip": HOME}

    assert _ask(traefik, host) != 403
    assert _ask(traefik, host, STRANGER) == 403
    assert _ask(traefik, host, STRANGER, headers=claim) == 403


def test_traefik_itself_is_no_client_of_the_home(tmp_path: Path) -> None:
    """Else pods whose requests still pass twice would let strangers in, by the middlewares for once."""
    home = map(ip_network, Role(tmp_path).value("traefik_lan_networks"))

    assert [str(network) for network in home if network.overlaps(ip_network(f"{HOME}/32"))] == []


def test_an_app_sees_its_clients_address(traefik: Traefik) -> None:
    for client in (HOME, STRANGER):
        seen = traefik.get("/", client).json()
        assert (seen["X-Forwarded-For"], seen["X-Real-Ip"]) == (client, client)


def test_a_client_behind_a_trusted_proxy_is_known_by_his_own_address(app: str, tmp_path: Path) -> None:
    default = {key: value for key, value in VARIABLES.items() if key != "traefik_lan_networks"}

    def answer(address: str) -> int:
        return _ask(proxied, "nas", PROXY, headers={"X-Forwarded-For": address})

    with in_front_of(app, tmp_path, **default, traefik_trusted_proxies=[PROXY]) as proxied:
        home = ["10.1.2.3", "172.31.0.1", "192.168.1.7", "169.254.0.1", "fd00::7", "fe80::1"]
        assert {address: answer(address) for address in home} == dict.fromkeys(home, 200)
        strangers = ["203.0.113.9", "172.32.0.1", "2001:db8::1", "192.168.1.7, 203.0.113.9"]
        assert {address: answer(address) for address in strangers} == dict.fromkeys(strangers, 403)
        # Without the proxy nobody is believed, and its own requests are nobody's.
        claim = {"X-Forwarded-For": "10.1.2.3"}
        assert _ask(proxied, "nas", STRANGER, headers=claim) == 403
        assert _ask(proxied, "nas", PROXY) == 403
        seen = proxied.get("/", PROXY, headers=claim).json()
        assert seen["X-Forwarded-For"] == f"10.1.2.3, {PROXY}"


@pytest.mark.parametrize(("variables", "status"), [({}, 403), ({"traefik_tailscale_is_lan": True}, 200)])
def test_tailscale_is_a_part_of_the_home_if_its_owner_says_so(
    app: str, tmp_path: Path, variables: dict[str, Any], status: int
) -> None:
    default = {key: value for key, value in VARIABLES.items() if key != "traefik_lan_networks"}

    def answer(address: str) -> int:
        return _ask(proxied, "nas", PROXY, headers={"X-Forwarded-For": address})

    with in_front_of(app, tmp_path, **default, **variables, traefik_trusted_proxies=[PROXY]) as proxied:
        assert [answer(each) for each in ("100.64.0.1", "100.127.255.254")] == [status] * 2
        assert [answer(each) for each in ("100.63.255.255", "100.128.0.1")] == [403] * 2
        assert answer("192.168.1.7") == 200


def test_a_trace_goes_on_through_a_trusted_proxy(app: str, tmp_path: Path) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    with in_front_of(app, tmp_path, **VARIABLES, traefik_trusted_proxies=[PROXY]) as traefik:
        seen = traefik.get("/", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"}).json()

    assert trace in seen["Traceparent"]


def test_whoami_asks_for_a_password_and_lets_no_other_page_read(app: str, tmp_path: Path) -> None:
    with in_front_of(app, tmp_path, **VARIABLES) as traefik:
        host = {"Host": "whoami.home.arpa", "Origin": "https://evil.example"}
        answer = traefik.get("/", headers=host, auth=GUEST)

        assert _ask(traefik, "whoami") == 401
        assert answer.status_code == 200
        assert [name for name in answer.headers if name.startswith("Access-Control-")] == []
        assert "Authorization" not in answer.json()


def test_a_guest_does_not_open_the_dashboard(app: str, tmp_path: Path) -> None:
    with in_front_of(app, tmp_path, **VARIABLES) as traefik:
        admin = ("admin", (tmp_path / "secrets/home/traefik_dashboard.password").read_text().strip())

        assert _ask(traefik, "traefik", path="/dashboard/", auth=GUEST) == 401
        assert _ask(traefik, "traefik", path="/dashboard/", auth=admin) == 200


def _at_once(request: Callable[[int], int]) -> Counter[int]:
    """Send more requests at the same time than the limit lets pass on a slow machine; count the answers."""
    number = 20
    with ThreadPoolExecutor(number) as pool:
        return Counter(pool.map(request, range(number)))


def test_passwords_are_tried_at_a_limited_rate(app: str, tmp_path: Path) -> None:
    limit = {"traefik_password_limit_per_second": 1, "traefik_password_limit_burst": 3}
    with in_front_of(app, tmp_path, **VARIABLES, **limit) as traefik:
        tries = _at_once(lambda number: _ask(traefik, "open", STRANGER, auth=("ada", f"guess-{number}")))

        assert tries.keys() == {401, 429}
        assert tries[401] >= 3
        assert _ask(traefik, "open", auth=GUEST) == 200  # another client


def test_a_client_with_too_many_requests_is_rejected(app: str, tmp_path: Path) -> None:
    limit = {"traefik_rate_limit_per_second": 1, "traefik_rate_limit_burst": 3}
    with in_front_of(app, tmp_path, **VARIABLES, **limit) as traefik:
        answers = _at_once(lambda _: _ask(traefik, "rare", STRANGER))

        assert answers.keys() == {200, 429}
        assert answers[200] >= 3
        assert _ask(traefik, "rare") == 200


def test_a_client_with_too_many_requests_at_a_time_is_rejected(app: str, tmp_path: Path) -> None:
    with in_front_of(app, tmp_path, **VARIABLES, traefik_in_flight_limit=2) as traefik:
        with ThreadPoolExecutor(4) as pool:
            running = [pool.submit(_ask, traefik, "slow", STRANGER, path="/slow") for _ in range(4)]
            answers = sorted(each.result() for each in running)

        # On a busy machine, a request may come after the end of another.
        assert (answers[:2], answers[-1]) == ([200, 200], 429)


def test_a_slow_client_is_let_go(app: str, tmp_path: Path) -> None:
    """Whether it dawdles with the headers or with the body."""
    context = ssl._create_unverified_context()  # noqa: S323
    with in_front_of(app, tmp_path, **VARIABLES, traefik_upload_timeout_seconds=2) as traefik:
        host, port = traefik.addresses["websecure"].split(":")
        for beginning in (
            b"GET / HTTP/1.1\r\nHost: a",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
        ):
            with (
                socket.create_connection((host, int(port)), timeout=60) as plain,
                context.wrap_socket(plain, server_hostname="a.home.arpa") as slow,
            ):
                started = time.monotonic()
                slow.sendall(beginning)
                while slow.recv(4096):
                    pass
                assert 1 < time.monotonic() - started < 60


def test_a_stranger_holds_a_connection_for_a_minute_at_most_by_default(tmp_path: Path) -> None:
    entry_points = find(render(tmp_path), "ConfigMap", "traefik")["data"]["traefik.yaml"]

    assert "readTimeout: 60s" in entry_points
