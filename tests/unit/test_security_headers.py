"""Headers that make browsers strict: Traefik adds to what an app sends, and weakens nothing of it."""

import http.server
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import rendering
from harness.traefik import Traefik, in_front_of, serving

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS")  # its certificate is made up

STRICT = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
TOLD = {"Server": "app/1.2.3", "X-Powered-By": "language/4.5.6"}
BARE = "/bare"
ROUTES = [{"name": "nas", "host": "nas.home.arpa", "url": "http://192.0.2.1"}]
ADMIN = {"prometheus": "monitoring", "alertmanager": "monitoring", "jaeger": "tracing"}


class App(http.server.BaseHTTPRequestHandler):
    """Is strict, but not everywhere, and tells what it is made of."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response_only(200)
        for name, value in (TOLD | ({} if self.path == BARE else STRICT)).items():
            self.send_header(name, value)
        self.end_headers()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where passwords are generated."""
    return tmp_path_factory.mktemp("traefik")


@pytest.fixture(scope="module")
def traefik(state: Path) -> Iterator[Traefik]:
    """Traefik in front of that app, as route, and as each page of the stack."""
    routes = [
        each
        for role in ("prometheus", "alertmanager", "tracing")
        for each in rendering.Role(role, state).objects(["routes.yaml.j2"])
    ]
    variables = {"traefik_routes": ROUTES, "traefik_lan_networks": ["127.0.0.0/8"]}
    with (
        serving(App) as app,
        in_front_of(app, state, routes, homeserver_tracing_endpoint="", **variables) as it,
    ):
        yield it


def _headers(
    traefik: Traefik, page: str, path: str = "/", status: int = 200, **options: Any
) -> dict[str, str]:
    answer = traefik.get(path, headers={"Host": f"{page}.home.arpa"}, **options)
    assert answer.status_code == status
    return dict(answer.headers)


def test_what_an_app_says_arrives(traefik: Traefik) -> None:
    assert STRICT.items() <= _headers(traefik, "nas").items()


def test_what_cannot_be_stricter_is_added(traefik: Traefik) -> None:
    headers = _headers(traefik, "nas", BARE)

    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", BARE])
def test_which_software_answers_is_not_told(traefik: Traefik, path: str) -> None:
    assert TOLD.keys() & _headers(traefik, "nas", path).keys() == set()


@pytest.mark.parametrize("page", ["prometheus", "alertmanager", "jaeger", "traefik", "whoami"])
def test_a_page_of_the_stack_is_in_no_frame_also_before_the_login(
    traefik: Traefik, state: Path, page: str
) -> None:
    password = (state / "secrets/home/traefik_dashboard.password").read_text().strip()
    path = "/dashboard/" if page == "traefik" else BARE

    for headers in (
        _headers(traefik, page, path, 401),
        _headers(traefik, page, path, auth=("admin", password)),
    ):
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
