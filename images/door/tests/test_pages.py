"""What people see: the start page, the account, pages for errors, and what an admin can do."""

import base64
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.test import Client
from homeserver_door import start
from homeserver_door.health import Health
from homeserver_door.models import Person

from harness.programs import free_port, prometheus
from harness.waiting import wait_until
from images.door.tests.authenticator import Authenticator
from images.door.tests.inside import Browser, Inside, options_of, text_of
from images.door.tests.served import HOME, LOGIN

_TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_TRACE = _TRACEPARENT.split("-")[1]
_RULES = {
    "groups": [
        {
            "name": "home",
            "interval": "1s",
            "rules": [
                {
                    "record": "probe_success",
                    "expr": f"vector({value})",
                    "labels": {"host": host, "module": module},
                }
                for host, module, value in (
                    ("grafana.home.arpa", "host", 1),
                    ("photos.home.arpa", "host", 1),
                    ("photos.home.arpa", "other", 0),
                )
            ]
            + [
                {
                    "alert": name,
                    "expr": "vector(1)",
                    "labels": {"severity": severity},
                    "annotations": annotations,
                }
                for name, severity, annotations in (
                    ("Watchdog", "none", {"summary": "home can send alerts"}),
                    (
                        "Warm",
                        "warning",
                        {"summary": "Disk <b>is</b> warm", "runbook_url": "javascript:alert(1)"},
                    ),
                    (
                        "Down",
                        "critical",
                        {"summary": "Photos does not answer", "runbook_url": "https://docs.example/Down"},
                    ),
                )
            ],
        }
    ]
}
_PROBED = [
    {
        "title": title,
        "url": f"https://{host}.home.arpa/",
        "access": ["everyone"],
        "probe": f"{host}.home.arpa",
    }
    for title, host in (("Grafana", "grafana"), ("Photos", "photos"), ("Wiki", "wiki"))
]


@pytest.fixture(autouse=True)
def _own_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of Prometheus at first."""
    monkeypatch.setattr(start, "_HEALTH", Health())


@contextmanager
def _prometheus(directory: Path, rules: dict[str, Any]) -> Iterator[str]:
    """Run Prometheus with these rules; yield its URL."""
    port = free_port()
    (directory / "rules.yml").write_text(yaml.safe_dump(rules))
    settings = {"global": {"evaluation_interval": "1s"}, "rule_files": ["rules.yml"]}
    (directory / "prometheus.yml").write_text(yaml.safe_dump(settings))
    command = [str(prometheus()), f"--web.listen-address=127.0.0.1:{port}"]
    command += [f"--storage.tsdb.path={directory}/data", f"--config.file={directory}/prometheus.yml"]
    url = f"http://127.0.0.1:{port}"
    with (directory / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            wait_until(lambda: _evaluated(url), (directory / "log").read_text)
            yield url
        finally:
            process.kill()


def _evaluated(url: str) -> bool:
    try:
        found = requests.get(
            f"{url}/api/v1/query", params={"query": "count(probe_success)"}, timeout=5
        ).json()
        return bool(found["data"]["result"])
    except (requests.ConnectionError, KeyError, ValueError):
        return False


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Prometheus that knows pages and alerts."""
    with _prometheus(tmp_path_factory.mktemp("prometheus"), _RULES) as running:
        yield running


# The start page


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("anna", {"Operations": ["Grafana"], "Media": ["Photos", "Hello"], "Pages": ["Wiki"]}),
        ("ben", {"Media": ["Photos", "Hello"], "Pages": ["Wiki"]}),
        ("guest", {"Pages": ["Wiki"], "Media": ["Hello"]}),
        ("", {"Media": ["Hello"]}),
    ],
)
def test_everybody_sees_what_they_may_open(door: Inside, name: str, expected: dict[str, list[str]]) -> None:
    page = door.start(name).content.decode()
    sections = re.findall(r"<h2 id=\"group-\d+\">(.*?)</h2>(.*?)</section>", page, re.DOTALL)

    assert {heading: re.findall("<b>(.*?)</b>", tiles) for heading, tiles in sections} == expected
    assert text_of(door.start(name)).split(" Your account")[0].endswith(f"Hello {name}") is bool(name)
    assert ('href="/oauth2/start?rd=%2F"' in page) is not bool(name)
    assert ("Add a phone" in page) is bool(name)


def test_somebody_without_pages_reads_why(door: Inside) -> None:
    door.change(pages=[], welcome=None)
    text = text_of(door.start("guest"))

    assert "There is no page yet that you may open" in text
    assert "Add a phone" not in text


def test_a_stranger_reads_who_they_are_and_how_to_change_that(door: Inside) -> None:
    answer = door.start("carl", traceparent=_TRACEPARENT)
    page = answer.content.decode()

    assert answer.status_code == 403
    assert "You are logged in as carl" in text_of(answer)
    assert f'href="/oauth2/sign_out?rd=https%3A%2F%2F{LOGIN}%2Flogout%2F"' in page
    assert _TRACE in page


def test_names_and_titles_are_no_markup(door: Inside) -> None:
    door.change(
        pages=[{"title": "<i>x", "url": "https://a.home.arpa/", "access": ["public"], "group": "<u>"}]
    )
    page = door.start("<script>").content.decode() + door.start().content.decode()

    assert "<i>" not in page
    assert "<u>" not in page
    assert "<script>" not in page


def test_pages_show_whether_they_answer(door: Inside, url: str) -> None:
    door.change(pages=_PROBED, prometheus=url)
    text = text_of(door.start("ben"))

    assert "Grafana grafana.home.arpa answers" in text
    assert "Photos photos.home.arpa does not answer" in text
    assert "Wiki wiki.home.arpa not known" in text


def test_an_admin_reads_what_is_wrong_and_what_to_do(door: Inside, url: str) -> None:
    door.change(prometheus=url)
    page = door.start("anna").content.decode()
    alerts = re.findall(r"<li class=\"warning\">(.*?)</li>", page)

    assert [re.sub("<.*?>", "", each) for each in alerts] == [
        "Photos does not answer What to do",
        "Disk &lt;b&gt;is&lt;/b&gt; warm",
    ]
    assert 'href="https://docs.example/Down"' in page
    assert "javascript:" not in page
    assert "Needs your attention" not in door.start("ben").content.decode()


def test_an_admin_reads_that_all_is_well(door: Inside, tmp_path: Path) -> None:
    calm = {"groups": [{"name": "home", "interval": "1s", "rules": [_RULES["groups"][0]["rules"][0]]}]}
    with _prometheus(tmp_path, calm) as running:
        door.change(prometheus=running)
        assert "All is well" in text_of(door.start("anna"))
        assert "All is well" not in text_of(door.start("ben"))


def test_the_page_does_not_wait_for_a_prometheus_that_hangs(door: Inside) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        door.change(pages=_PROBED, prometheus=f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        text = text_of(door.start("anna"))
        first = time.monotonic() - began
        began = time.monotonic()
        door.start("anna")
        second = time.monotonic() - began

    assert "Prometheus does not answer" in text
    assert "Grafana grafana.home.arpa not known" in text
    assert first < 1.5
    assert second < 0.3


def test_what_prometheus_said_long_ago_is_not_shown(
    door: Inside, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.change(pages=_PROBED, prometheus=url)
    assert "Grafana grafana.home.arpa answers" in text_of(door.start("ben"))
    monkeypatch.setattr(Health, "_ask", lambda *_: None)
    real = time.monotonic
    monkeypatch.setattr("homeserver_door.health.time.monotonic", lambda: real() + 30)
    assert "Grafana grafana.home.arpa answers" in text_of(door.start("ben"))

    monkeypatch.setattr("homeserver_door.health.time.monotonic", lambda: real() + 90)
    assert "Grafana grafana.home.arpa not known" in text_of(door.start("ben"))


def test_without_prometheus_nothing_is_said_of_it(door: Inside) -> None:
    text = text_of(door.start("anna"))

    assert "answer" not in text
    assert "not known" not in text


def test_the_page_is_quick(door: Inside, url: str) -> None:
    pages = [
        {"title": f"Page {n}", "url": f"https://p{n}.home.arpa/", "access": ["everyone"], "probe": f"p{n}"}
        for n in range(40)
    ]
    door.change(pages=pages, prometheus=url)
    door.start("anna")
    times = []
    for _ in range(100):
        began = time.thread_time()
        assert door.start("anna").status_code == 200
        times.append(time.thread_time() - began)

    assert sorted(times)[94] < 0.05


def test_the_start_page_can_be_put_on_a_home_screen(door: Inside) -> None:
    assert '<link rel="manifest" href="/manifest.webmanifest"' in door.start("ben").content.decode()
    manifest = Client().get("/manifest.webmanifest", headers={"host": HOME})

    assert manifest["Content-Type"] == "application/manifest+json"
    assert manifest.json()["start_url"] == "/"
    icon = Client().get(manifest.json()["icons"][0]["src"], headers={"host": HOME})
    assert icon["Content-Type"] == "image/svg+xml"


def test_a_file_that_does_not_exist_is_missing(door: Inside) -> None:
    assert door.start().status_code == 200
    assert Client().get("/static/nothing.css", headers={"host": HOME}).status_code == 404


# Every page


class _Loaded(HTMLParser):
    """Finds what a page loads, and what it would run by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self.unnamed: list[str] = []
        self._labels: set[str] = set()
        self._inputs: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("script", "img", "iframe"):
            self.loaded += [values["src"] or ""] if "src" in values else []
        if tag == "link" and values.get("rel") != "canonical":
            self.loaded.append(values["href"] or "")
        runs = tag == "script" and "src" not in values and values.get("type") != "application/json"
        self.inline += [tag] if runs or tag == "style" or "style" in values else []
        self.inline += [key for key in values if key.startswith("on")]
        if tag == "label":
            self._labels.add(str(values.get("for")))
        if tag == "input" and values.get("type") not in ("hidden", "submit", "checkbox"):
            self._inputs.append(values)

    @property
    def unlabelled(self) -> list[dict[str, str | None]]:
        """Fields that a screen reader cannot name."""
        return [each for each in self._inputs if each.get("id") not in self._labels]


def _pages(door: Inside) -> dict[str, Any]:
    browser, _ = door.enter("anna")
    guest = Browser()
    door.change(passwords=True)
    pages = {
        f"guest {path}": guest.get(path) for path in ("/login/", "/recover/", "/invitation/", "/nowhere")
    }
    paths = (
        "/",
        "/people/",
        "/sessions/",
        "/logout/",
        "/keys/",
        "/keys/webauthn/",
        "/keys/webauthn/add/",
        "/keys/webauthn/reauthenticate/",
        "/keys/recovery-codes/",
        "/keys/recovery-codes/generate/",
        "/keys/totp/activate/",
        "/password/set/",
        "/identity/o/device",
        "/identity/o/logout",
        "/identity/o/authorize",
    )
    pages |= {path: browser.get(path) for path in paths}
    pages["invited"] = browser.post("/people/", {"name": "ben"})
    pages["start"] = door.start("anna")
    pages["forbidden"] = door.start("carl")
    return pages


def test_every_page_is_complete_without_anything_from_elsewhere(door: Inside) -> None:
    for name, page in _pages(door).items():
        text = page.content.decode()
        assert page.status_code in (200, 400, 403, 404), (name, page.status_code)
        loaded = _Loaded()
        loaded.feed(text)
        assert all(re.match(r"/[a-z]|data:image", each) for each in loaded.loaded), (name, loaded.loaded)
        assert not loaded.inline, (name, loaded.inline)
        assert not loaded.unlabelled, (name, loaded.unlabelled)
        assert text.count("<h1>") == 1, name
        assert '<html lang="en">' in text, name
        assert 'name="viewport"' in text, name
        for each in (path for path in loaded.loaded if path.startswith("/")):
            host = HOME if name in ("start", "forbidden") else LOGIN
            assert Client().get(each, headers={"host": host}).status_code == 200, (name, each)


def test_every_page_restricts_what_a_browser_does(door: Inside) -> None:
    for name, page in _pages(door).items():
        policy = page["Content-Security-Policy"]
        assert "default-src 'none'" in policy, name
        assert "frame-ancestors 'none'" in policy, name
        assert "unsafe" not in policy, name
        assert page["X-Content-Type-Options"] == "nosniff", name
        assert page["X-Frame-Options"] == "DENY", name
        assert page["Referrer-Policy"] == "same-origin", name
        assert "no-store" in page["Cache-Control"], name
        assert "Strict-Transport-Security" not in page.headers, name


def test_cookies_stay_where_they_are(door: Inside) -> None:
    browser, _ = door.enter("ben")

    assert set(browser.client.cookies) == {"__Host-session", "__Host-csrf"}
    for cookie in browser.client.cookies.values():
        assert cookie["secure"]
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"
        assert cookie["path"] == "/"
        assert not cookie["domain"]
    assert browser.client.cookies["__Host-session"]["max-age"] == 168 * 3600


# The account


def test_a_person_adds_renames_and_removes_passkeys(door: Inside) -> None:
    browser, first = door.enter("ben")
    second = Authenticator()
    options = options_of(browser.get("/keys/webauthn/add/"))["creation_options"]
    selection = options["publicKey"]["authenticatorSelection"]
    assert (selection["residentKey"], selection["userVerification"]) == ("required", "required")
    browser.post("/keys/webauthn/add/", {"name": "Tablet", "credential": second.create(options)})
    page = browser.get("/keys/webauthn/")
    assert "Phone" in text_of(page)
    assert "Tablet" in text_of(page)

    other = Browser()
    other.log_in(second)
    assert other.person() == "ben"
    gone = re.findall(r"/keys/webauthn/keys/\d+/remove/", page.content.decode())[0]
    browser.post(gone)
    lost = Browser()
    lost.log_in(first)
    assert lost.person() == ""


def test_a_passkey_alone_adds_another_only_when_it_is_shown_again(door: Inside) -> None:
    _, key = door.enter("ben")
    browser = Browser()
    browser.log_in(key)

    answer = browser.get("/keys/webauthn/add/")
    assert answer["Location"].startswith("/keys/reauthenticate/")
    page = browser.get("/keys/webauthn/reauthenticate/?next=/keys/webauthn/add/")
    proof = key.get(options_of(page)["request_options"])
    values = {"credential": proof, "next": "/keys/webauthn/add/"}
    assert browser.post("/keys/webauthn/reauthenticate/", values)["Location"] == "/keys/webauthn/add/"
    assert browser.get("/keys/webauthn/add/").status_code == 200


def test_a_person_sees_sessions_and_ends_one(door: Inside) -> None:
    browser, key = door.enter("ben")
    other = Browser("192.168.1.77")
    other.log_in(key)
    stranger, _ = door.enter("anna")
    page = browser.get("/sessions/")
    shown = re.findall(r'value="(\d+)">\s+<b>Device</b> at ([\d.]+)', page.content.decode())
    assert {address for _, address in shown} == {"192.168.1.50", "192.168.1.77"}
    theirs = {address: number for number, address in shown}["192.168.1.77"]
    stranger.post("/sessions/", {"session": theirs})
    assert other.person() == "ben"

    browser.post("/sessions/", {"session": theirs})
    assert browser.person() == "ben"
    assert other.person() == ""


def test_a_password_with_an_authenticator_app_opens_a_door_that_allows_it(door: Inside) -> None:
    door.change(passwords=True)
    setting, _ = door.enter("ben")
    person = Person.objects.get(name="ben")
    page = setting.get("/password/set/")
    assert page.status_code == 200
    password = {"password1": "a long password of ben", "password2": "a long password of ben"}
    assert setting.post("/password/set/", password).status_code == 302
    assert setting.person() == "ben"
    secret = "JBSWY3DPEHPK3PXP"
    TOTP.activate(person, secret)
    browser = Browser()
    assert "Password" in text_of(browser.get("/login/"))
    answer = browser.post("/login/", {"login": "ben", "password": "a long password of ben"})
    assert browser.person() == ""
    assert answer["Location"].startswith("/keys/authenticate/")
    browser.get("/keys/authenticate/")
    browser.post("/keys/authenticate/", {"code": "000000"})
    assert browser.person() == ""
    browser.post("/keys/authenticate/", {"code": _number(secret)})
    assert browser.person() == "ben"


def test_somebody_without_passkeys_is_invited_with_a_password(door: Inside) -> None:
    door.change(passwords=True)
    code, browser = door.invitation("ben"), Browser()
    browser.get("/invitation/")
    browser.post("/invitation/", {"code": code})
    assert "Choose a password" in text_of(browser.get("/invitation/passkey/"))
    page = browser.get("/invitation/password/")
    secret = re.findall(r"enter <code>(\w+)</code>", page.content.decode())[0]
    values = {"password1": "a long password of ben", "password2": "a long password of ben"}
    for wrong in ({"code": "000000"}, {"code": _number(secret), "password1": "short", "password2": "short"}):
        assert browser.post("/invitation/password/", values | wrong).status_code == 200
        assert browser.person() == ""
    assert browser.post("/invitation/password/", values | {"code": _number(secret)}).status_code == 302
    assert browser.person() == "ben"
    assert "Keep these codes" in text_of(browser.get("/keys/recovery-codes/"))

    other = Browser()
    other.get("/login/")
    other.post("/login/", {"login": "ben", "password": values["password1"]})
    other.get("/keys/authenticate/")
    other.post("/keys/authenticate/", {"code": _number(secret)})
    assert other.person() == "ben"
    again = Browser()
    again.get("/invitation/")
    assert again.post("/invitation/", {"code": code}).status_code == 410
    door.change(passwords=False)
    assert browser.get("/invitation/password/").status_code == 404


# Admins


def test_an_admin_invites_a_person(door: Inside) -> None:
    admin, _ = door.enter("anna")
    text = text_of(admin.get("/people/"))
    assert "anna : has a passkey" in text
    assert "ben : cannot log in yet" in text
    page = admin.post("/people/", {"name": "ben"})
    (code,) = re.findall(rf"https://{LOGIN}/invitation/#([\w-]+)", page.content.decode())
    assert "ben : is invited" in text_of(page)
    assert code not in admin.get("/people/").content.decode()

    browser = Browser()
    browser.accept(code, Authenticator())
    assert browser.person() == "ben"


def test_only_an_admin_invites_people(door: Inside) -> None:
    browser, _ = door.enter("ben")
    answer = browser.get("/people/", traceparent=_TRACEPARENT)

    assert answer.status_code == 403
    assert "You are logged in as ben" in text_of(answer)
    assert _TRACE in answer.content.decode()
    assert browser.post("/people/", {"name": "guest"}).status_code == 403


def test_nobody_invites_somebody_whom_the_configuration_does_not_have(door: Inside) -> None:
    admin, _ = door.enter("anna")
    door.change(people=[{"name": "anna", "groups": ["admins"]}])

    assert admin.post("/people/", {"name": "ben"}).status_code == 404
    assert admin.post("/people/", {"name": "carl"}).status_code == 404


# Devices


def test_a_command_line_logs_in_by_a_code_on_another_device(
    door: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, _ = door.enter("anna")
    started = door.api("device/code", client_id="kubectl", scope="openid profile groups").json()
    assert started["verification_uri"] == f"https://{LOGIN}/identity/o/device"
    poll = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": started["device_code"],
        "client_id": "kubectl",
    }
    assert door.api("token", **poll).json()["error"] == "authorization_pending"
    assert door.api("token", **poll).json()["error"] == "slow_down"
    path = f"/identity/o/device?code={started['user_code']}"
    assert started["user_code"] in text_of(browser.get(path))
    assert browser.post(path, {"csrfmiddlewaretoken": "", "action": "confirm"}).status_code == 403
    browser.post(path, {"action": "confirm"})
    now = time.time()
    monkeypatch.setattr("allauth.idp.oidc.internal.oauthlib.device_codes.time.time", lambda: now + 10)

    granted = door.api("token", **poll).json()
    claims = json.loads(_decoded(granted["id_token"].split(".")[1]))
    assert claims["aud"] == "kubectl"
    assert claims["groups"] == ["admins", "family"]
    assert door.api("token", **poll).status_code == 400


def test_a_device_that_was_refused_gets_nothing(door: Inside) -> None:
    browser, _ = door.enter("anna")
    started = door.api("device/code", client_id="kubectl", scope="openid").json()
    path = f"/identity/o/device?code={started['user_code']}"
    browser.get(path)
    browser.post(path, {"action": "deny"})
    answer = door.api(
        "token",
        grant_type="urn:ietf:params:oauth:grant-type:device_code",
        device_code=started["device_code"],
        client_id="kubectl",
    )

    assert answer.json()["error"] == "access_denied"


@pytest.mark.parametrize("client", ["gate", "wiki", "nobody"])
def test_only_a_public_client_uses_codes_for_devices(door: Inside, client: str) -> None:
    assert door.invitation("anna")

    assert door.api("device/code", client_id=client, scope="openid").status_code in (400, 401)


def _number(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time() // 30))))


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
