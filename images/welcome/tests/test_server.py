"""The page: for which device it has which steps, what it serves, and what it remembers during a rotation."""

import json
import re
import shutil
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import requests
from homeserver_welcome import roll
from homeserver_welcome.devices import device
from homeserver_welcome.guides import GUIDES
from homeserver_welcome.home import read
from homeserver_welcome.roll import Roll
from homeserver_welcome.server import Welcome

PEM = ssl.DER_cert_to_PEM_cert(b"a certificate")
NEXT = ssl.DER_cert_to_PEM_cert(b"the next one")
SETTINGS: dict[str, Any] = {
    "domain": "home.arpa",
    "address": "192.168.1.10",
    "host": "welcome.home.arpa",
    "former_host": "",
    "names": ["home.local"],
    "pages": ["hello.home.arpa", "grafana.home.arpa"],
    "authorities": [{"name": "CA of <home>", "fingerprint": "AB:CD"}],
}
ROTATES: dict[str, Any] = {
    "former_host": "traefik.home.arpa",
    "authorities": [*SETTINGS["authorities"], {"name": "Next", "fingerprint": "12:34"}],
}
SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36"
AGENTS = {
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) {SAFARI}": ("iPhone", "ios"),
    f"Mozilla/5.0 (iPod touch; CPU iPhone OS 12_5 like Mac OS X) {SAFARI}": ("iPhone", "ios"),
    f"Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) {SAFARI}": ("iPad", "ios"),
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {SAFARI}": ("Mac", "macos"),
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0": ("Mac", "macos"),
    f"Mozilla/5.0 (Linux; Android 10; K) {CHROME}": ("Android", "android"),
    "Mozilla/5.0 (Android 16; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0": ("Android", "android"),
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Edg/143.0.0.0": ("Windows", "windows"),
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0": (
        "Windows",
        "windows",
    ),
    "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft) Edge/15.15254": ("Windows", "windows"),
    f"Mozilla/5.0 (X11; Linux x86_64) {CHROME}": ("Linux", "linux"),
    f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROME}": ("Chromebook", "linux"),
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0": (
        "Firefox on Linux",
        "firefox",
    ),
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0": (
        "Firefox on Linux",
        "firefox",
    ),
    "curl/8.14.1": ("unknown", ""),
    "": ("unknown", ""),
}
PHONE, COMPUTER = next(iter(AGENTS)), f"Mozilla/5.0 (X11; Linux x86_64) {CHROME}"


@contextmanager
def _serving(directory: Path, known: Roll | None = None, **changed: Any) -> Iterator[str]:
    """Serve the page of a home with some other settings; yield the URL."""
    directory.mkdir(exist_ok=True)
    (directory / "settings.json").write_text(json.dumps(SETTINGS | changed))
    (directory / "ca.crt").write_text(PEM)
    (directory / "ca-next.crt").write_text(NEXT)
    (directory / "profile").write_bytes(b"profile")
    (directory / "code.svg").write_text("<svg id='code'></svg>")
    server = Welcome(("127.0.0.1", 0), read(directory), known or Roll())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of a home."""
    with _serving(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture
def rotating(tmp_path: Path) -> Iterator[str]:
    """The page of a home whose authority is being replaced."""
    with _serving(tmp_path, **ROTATES) as running:
        yield running


def _get(url: str, agent: str = PHONE, address: str = "", *, secure: bool = False) -> requests.Response:
    headers = {"User-Agent": agent, "X-Forwarded-Proto": "https" if secure else "http"}
    return requests.get(url, headers=headers | ({"X-Real-Ip": address} if address else {}), timeout=10)


@pytest.mark.parametrize("agent", AGENTS)
def test_it_recognizes_the_device(agent: str) -> None:
    assert device(agent) == AGENTS[agent]


@pytest.mark.parametrize("agent", AGENTS)
def test_it_shows_the_steps_for_the_device(url: str, agent: str) -> None:
    text = _get(f"{url}/trust", agent).text
    name, guide = AGENTS[agent]

    if guide:
        assert f"This device looks like: <b>{name}</b>" in text
        assert f"<h2>{GUIDES[guide]}</h2>" in text
        assert 2 <= len(re.findall("<li><p>", text)) <= 3
        assert text.count("<h2>") == 4
        assert f'href="/trust?device={guide}" aria-current="page"' in text
    else:
        assert "Choose your device." in text
        assert 'class="steps"' not in text


@pytest.mark.parametrize("guide", GUIDES)
def test_every_guide_can_be_chosen(url: str, guide: str) -> None:
    text = _get(f"{url}/trust?device={guide}").text

    assert f"<h2>{GUIDES[guide]}</h2>" in text
    assert "<svg class=" in text
    assert ("looks like" in text) is (guide == "ios")


def test_an_unknown_choice_is_none(url: str) -> None:
    assert f"<h2>{GUIDES['ios']}</h2>" in _get(f"{url}/trust?device=<script>").text


def test_the_name_of_the_page_is_enough(url: str) -> None:
    assert _get(f"{url}/").text == _get(f"{url}/trust").text == _get(f"{url}/trust/").text


class _Links(HTMLParser):
    """Finds what a page loads or links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(text)

    def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {value for name, value in attrs if name in ("href", "src") and value}


@pytest.mark.parametrize("guide", GUIDES)
def test_every_link_leads_somewhere_in_the_home(url: str, guide: str) -> None:
    links = _Links(_get(f"{url}/trust?device={guide}").text).found
    own = {link for link in links if link.startswith("/")}

    assert links - own == {"data:,", "https://welcome.home.arpa/"}
    assert own >= {"/trust/style.css", "/trust/check.js"}
    assert [link for link in own if _get(url + link).status_code != 200] == []


@pytest.mark.parametrize(
    ("file", "kind", "content"),
    [
        ("home.mobileconfig", "application/x-apple-aspen-config", b"profile"),
        ("home-ca.crt", "application/x-x509-ca-cert", PEM.encode()),
        ("home-ca.cer", "application/pkix-cert", b"a certificate"),
    ],
)
def test_it_serves_the_certificate_in_each_form(url: str, file: str, kind: str, content: bytes) -> None:
    answer = _get(f"{url}/trust/{file}")

    assert (answer.headers["Content-Type"], answer.content) == (kind, content)


def test_it_serves_nothing_else(url: str) -> None:
    paths = ("/trust/settings.json", "/trust/home-ca-next.crt", "/trust/../settings.json", "/trustworthy")

    assert [_get(url + path).status_code for path in paths] == [404] * 4
    assert requests.post(f"{url}/trust", timeout=10).status_code == 501


def test_a_page_loads_nothing_from_elsewhere(url: str) -> None:
    answer = _get(f"{url}/trust")

    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == "https://welcome.home.arpa http://welcome.home.arpa"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "style=" not in answer.text


def test_scripts_of_other_origins_only_read_that_it_was_reached(url: str) -> None:
    assert _get(f"{url}/trust/reached").headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Origin" not in _get(f"{url}/trust").headers


def test_it_shows_fingerprint_and_addresses(url: str) -> None:
    text = _get(f"{url}/trust").text

    assert "<dt>CA of &lt;home&gt;</dt><dd><code>AB:<wbr>CD</code></dd>" in text
    assert "<b>http://home.local/</b> or <b>http://192.168.1.10/trust</b>" in text
    assert "<svg id='code'></svg>" in text


def test_over_https_it_leads_to_the_pages_of_the_home(url: str) -> None:
    links = _Links(_get(f"{url}/", secure=True).text).found

    assert links >= {"https://hello.home.arpa/", "https://grafana.home.arpa/"}


def test_without_a_rotation_it_remembers_nobody(tmp_path: Path) -> None:
    known = Roll()
    with _serving(tmp_path, known) as url:
        text = _get(f"{url}/trust", address="192.168.1.23").text
        _get(f"{url}/trust/reached", address="192.168.1.23", secure=True)

    assert known.entries() == []
    assert "being replaced" not in text
    assert "192.168.1.23" not in text


def test_a_rotation_offers_both_certificates(rotating: str) -> None:
    text = _get(f"{rotating}/trust?device=windows").text

    assert "being replaced" in text
    assert [_get(f"{rotating}/trust/home-ca{name}.cer").content for name in ("", "-next")] == [
        b"a certificate",
        b"the next one",
    ]
    assert {"/trust/home-ca.cer", "/trust/home-ca-next.cer"} <= _Links(text).found
    assert "certutil -hashfile Downloads\\home-ca-next.cer SHA256" in text
    assert 'data-former="https://traefik.home.arpa/"' in text
    assert "12:<wbr>34" in text
    assert "https://traefik.home.arpa" in _get(f"{rotating}/trust").headers["Content-Security-Policy"]


def test_pictures_distinguish_the_authorities_by_their_ends(tmp_path: Path) -> None:
    names = ("Home server CA of home.arpa", "Home server CA of home.arpa 2026-12-02")
    both = [{"name": name, "fingerprint": "AB:CD"} for name in names]
    with _serving(tmp_path, authorities=both) as url:
        text = _get(f"{url}/trust?device=ios").text

    rows = re.findall(r'<text x="24" y="\d+">(Home.*?)</text>', text)
    assert rows == ["Home serve…f home.arpa", "Home serve… 2026-12-02"]


def test_a_rotation_lists_who_lacks_the_next_authority(rotating: str) -> None:
    _get(f"{rotating}/trust", PHONE, "192.168.1.23")
    _get(f"{rotating}/trust", COMPUTER, "192.168.1.24")
    _get(f"{rotating}/trust/reached", PHONE, "192.168.1.23", secure=True)
    # The same over HTTP proves nothing.
    _get(f"{rotating}/trust/reached", COMPUTER, "192.168.1.24")
    # Nor does a later look at the page make it lack it.
    text = _get(f"{rotating}/trust", PHONE, "192.168.1.23").text

    rows = re.findall("<tr><td>(.+?)</td><td>(.+?)</td><td>(.+?)</td>", text)
    assert rows == [("Linux", "192.168.1.24", "not yet"), ("iPhone", "192.168.1.23", "yes")]
    assert "Others are not known" in text


def test_the_roll_forgets_who_was_not_seen_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roll, "_MOST", 2)
    known = Roll(lambda: datetime(2026, 12, 2, tzinfo=UTC))
    for address in ("1", "2", "1", "3"):
        known.note("iPhone", address, trusts=False)

    assert [entry.address for entry in known.entries()] == ["1", "3"]


def test_a_missing_file_is_noticed_at_the_start(tmp_path: Path) -> None:
    with _serving(tmp_path):
        pass
    shutil.copytree(tmp_path, tmp_path / "copy")
    (tmp_path / "copy/profile").unlink()

    with pytest.raises(FileNotFoundError, match="profile"):
        read(tmp_path / "copy")
