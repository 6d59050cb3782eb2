"""The tests' browser distinguishes working pages from broken ones."""

import base64
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import browser, tls
from harness.programs import free_port
from lab.host import LabError

USER, PASSWORD = "admin", "p:ss w/rd"
WORKS = "p.textContent = 'It works'"
# An error comes before the text that a test waits for.
PAGES = {
    "/fine": "<h1>It works</h1>",
    "/late": f"<p id=p></p><script>setTimeout(() => {WORKS}, 300)</script>",
    "/logs-an-error": f"<p id=p></p><script>console.error('lost', 7); {WORKS}</script>",
    "/logs-a-warning": f"<p id=p></p><script>console.warn('old'); {WORKS}</script>",
    "/throws": f"<p id=p></p><script>setTimeout(() => {{ {WORKS}; throw new Error('broken') }})</script>",
    "/lacks-a-file": f'<p id=p></p><script src=nowhere.js onerror="{WORKS}"></script>',
    "/private": f"<p id=p></p><script>fetch('fine').then(() => {WORKS})</script>",
}
PRIVATE = "/private"


class _Pages(http.server.BaseHTTPRequestHandler):
    """Serves the pages, one of them with a password."""

    def do_GET(self) -> None:
        page = PAGES.get(self.path)
        given = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        refused = self.path == PRIVATE and self.headers["Authorization"] != f"Basic {given}"
        self.send_response(401 if refused else 200 if page else 404)
        if refused:
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        icon = '<link rel="icon" href="data:,">'
        self.wfile.write(f"<!doctype html>{icon}{page}".encode() if page and not refused else b"no")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _serving(pem: Path | None = None) -> Iterator[int]:
    """Serve the pages, with TLS if there is a certificate, and yield the port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as listening:
        if pem:
            listening.socket = tls.server_context(pem).wrap_socket(listening.socket, server_side=True)
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield listening.server_port
        listening.shutdown()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of the pages."""
    with _serving() as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def _installed() -> None:
    try:
        browser.install()
    except LabError as error:
        pytest.skip(f"there is no Chromium: {error}")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory, _installed: None) -> Iterator[browser.Browser]:
    with browser.chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/fine", ""),
        ("/late", ""),
        ("/logs-a-warning", ""),
        ("/logs-an-error", "lost 7"),
        ("/throws", "Error: broken"),
        ("/lacks-a-file", "404"),
    ],
)
def test_errors_of_a_page_are_reported(chromium: browser.Browser, server: str, path: str, error: str) -> None:
    with chromium.page() as page:
        page.open(server + path)
        assert "It works" in page.wait_for("It works")
        assert bool(page.errors) == bool(error)
        assert error in "".join(page.errors)


def test_a_page_with_a_password_opens_with_it(chromium: browser.Browser, server: str) -> None:
    with chromium.page((USER, PASSWORD)) as page:
        page.open(server + PRIVATE)
        page.wait_for("It works")
        assert page.errors == []


@pytest.mark.parametrize("credentials", [None, (USER, "wrong")])
def test_a_page_with_a_password_stays_closed_without_it(
    chromium: browser.Browser, server: str, credentials: tuple[str, str] | None
) -> None:
    with chromium.page(credentials) as page:
        page.open(server + PRIVATE)
        assert page.wait_for("no") == "no"
        assert any("401" in error for error in page.errors)


def test_a_missing_text_is_reported_with_the_visible_text(
    chromium: browser.Browser, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with chromium.page() as page:
        page.open(f"{server}/fine")
        page.wait_for("It works")
        monkeypatch.setattr(browser, "_PATIENCE", 5.0)
        with pytest.raises(browser.BrowserError, match=r"(?s)'Welcome' does not appear.*It works"):
            page.wait_for("Welcome")


def test_an_unreachable_page_is_reported(chromium: browser.Browser) -> None:
    with chromium.page() as page, pytest.raises(browser.BrowserError, match="ERR_CONNECTION_REFUSED"):
        page.open(f"http://127.0.0.1:{free_port()}/")


@pytest.mark.usefixtures("_installed")
def test_a_browser_that_exits_is_reported_with_its_last_output(tmp_path: Path) -> None:
    with (
        browser.chromium(tmp_path, ["--version"]) as chromium,
        pytest.raises(browser.BrowserError, match=r"(?s)has ended.*Chrom"),
        chromium.page(),
    ):
        pass


def test_a_picture_has_the_size_of_the_window(chromium: browser.Browser, server: str) -> None:
    with chromium.page() as page:
        page.open(f"{server}/fine")
        page.wait_for("It works")
        picture = page.picture(640, 480)

    assert picture.startswith(b"\x89PNG")
    assert (int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])) == (640, 480)


@pytest.mark.usefixtures("_installed")
def test_a_home_is_found_by_name_and_trusted_only_with_its_own_authority(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    for directory in (home, other):
        directory.mkdir()
    options = browser.home_options("127.0.0.1", "home.arpa", [tls.self_signed(home, "hello.home.arpa")])
    strange = tls.self_signed(other, "hello.home.arpa")

    with browser.chromium(tmp_path / "chromium", options) as chromium, chromium.page() as page:
        with _serving(home / "server.pem") as port:
            page.open(f"https://hello.home.arpa:{port}/fine")
            page.wait_for("It works")
        with (
            _serving(strange) as port,
            pytest.raises(browser.BrowserError, match="ERR_CERT_AUTHORITY_INVALID"),
        ):
            page.open(f"https://hello.home.arpa:{port}/fine")
