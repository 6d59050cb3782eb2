"""A device opens the page in the home's network, and after its steps it trusts the home."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from testinfra.host import Host

from harness import browser, mdns
from harness.home import Home, Kubectl, eventually
from harness.lan import STRANGER, with_stranger
from harness.traefik import From
from lab.host import LabError
from plugins.filter.certificates import fingerprint

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 Version/18.6 Safari/604.1"
)
STAGE = "playbooks/stages/welcome.yml"
TRAEFIK = "playbooks/stages/traefik.yml"  # which reads the namespace of the page
UNIT = "homeserver-mdns"


@pytest.fixture(scope="module")
def stranger(home: Home) -> Iterator[requests.Session]:
    """A client from outside of the home's networks."""
    with with_stranger(home.address), requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, From(STRANGER))
        yield session


@pytest.fixture(scope="module")
def page(home: Home) -> str:
    """The URL of the page, by the server's address."""
    return f"http://{home.address}/trust"


@pytest.fixture(scope="module")
def chromium() -> None:
    """Chromium, which a computer may lack."""
    try:
        browser.install()
    except LabError as error:
        pytest.skip(f"there is no Chromium: {error}")


def _status(url: str, host: str = "") -> int:
    headers = {"Host": host} if host else {}
    return requests.get(url, headers=headers, allow_redirects=False, timeout=10).status_code


def test_a_phone_gets_its_steps_and_the_fingerprint(home: Home, page: str) -> None:
    text = requests.get(page, headers={"User-Agent": PHONE}, timeout=10).text

    assert "<b>iPhone</b>" in text
    assert fingerprint((home.secrets / "ca.crt").read_text()) in text.replace("<wbr>", "")


def test_the_name_in_the_network_leads_to_the_page(home: Home, page: str) -> None:
    headers = {"Host": "home.local", "User-Agent": PHONE}
    text = requests.get(f"http://{home.address}/", headers=headers, timeout=10).text

    assert text == requests.get(page, headers={"User-Agent": PHONE}, timeout=10).text


def test_a_stranger_gets_nothing(home: Home, page: str, stranger: requests.Session) -> None:
    claim = {"X-Forwarded-For": home.tests}

    for url in (page, f"{page}/home-ca.crt", f"https://welcome.{home.domain}/"):
        assert stranger.get(url, headers=claim, verify=home.ca, timeout=10).status_code == 403


def test_everything_else_still_redirects(home: Home) -> None:
    address = f"http://{home.address}"

    assert [_status(f"{address}{path}") for path in ("/", "/healthz", "/login")] == [301] * 3
    names = [f"{name}.{home.domain}" for name in ("hello", "welcome", "whoami")]
    assert [_status(f"{address}/trust", name) for name in names] == [301] * 3


def test_the_downloaded_certificate_opens_the_apps(home: Home, page: str, tmp_path: Path) -> None:
    downloaded = tmp_path / "home-ca.crt"
    downloaded.write_bytes(requests.get(f"{page}/home-ca.crt", timeout=10).content)

    for name in ("hello", "welcome"):
        answer = requests.get(f"https://{name}.{home.domain}/", verify=str(downloaded), timeout=10)
        assert answer.status_code == 200


def test_the_home_has_signed_the_profile(home: Home, page: str, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    profile.write_bytes(requests.get(f"{page}/home.mobileconfig", timeout=10).content)
    verify = ["openssl", "cms", "-verify", "-inform", "DER", "-purpose", "any", "-CAfile", home.ca]

    subprocess.run([*verify, "-in", profile, "-out", tmp_path / "content"], check=True)
    assert b"com.apple.security.root" in (tmp_path / "content").read_bytes()


@pytest.mark.usefixtures("chromium")
def test_a_browser_without_the_authority_learns_that_it_lacks_it(
    home: Home, page: str, tmp_path: Path
) -> None:
    with browser.on_a_phone(home, tmp_path) as tab:
        tab.open(page)
        tab.wait_for("This device does not trust the home yet.")


@pytest.mark.usefixtures("chromium")
def test_a_browser_with_the_authority_learns_that_it_has_it(home: Home, page: str, tmp_path: Path) -> None:
    with browser.on_a_phone(home, tmp_path, home.secrets / "ca.crt") as tab:
        tab.open(page)
        tab.wait_for("✓ This device trusts the home.")
        assert tab.errors == []
        # Nothing is cut off in a narrow window.
        assert tab.value("document.documentElement.scrollWidth") == 390
        tab.open(f"https://welcome.{home.domain}/")
        tab.wait_for("this device trusts the home", f"hello.{home.domain}")


@pytest.mark.usefixtures("chromium")
def test_a_browser_that_finds_no_names_learns_that(home: Home, page: str, tmp_path: Path) -> None:
    options = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE " + home.address]
    with browser.chromium(tmp_path, options) as running, running.page() as tab:
        tab.open(page)
        tab.wait_for(f"This device does not find the name welcome.{home.domain}")


def test_the_name_is_announced_in_the_network(home: Home, host: Host) -> None:
    assert host.service(UNIT).is_enabled
    assert mdns.addresses("home.local", home.tests) == {home.address}
    assert mdns.addresses("other.local", home.tests, seconds=1) == set()


def test_it_needs_little_memory(kubectl: Kubectl) -> None:
    (pod,) = kubectl.get("-n welcome pods -l app.kubernetes.io/name=welcome")["items"]
    status = kubectl(f"-n welcome exec {pod['metadata']['name']} -- cat /proc/1/status")
    (most,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)

    assert int(most) < 40 * 1024


def test_without_avahi_the_run_continues_and_says_so(home: Home, host: Host) -> None:
    program = "/usr/bin/avahi-publish"
    host.check_output(f"mv {program} {program}.away")
    try:
        run = home.play(STAGE)
    finally:
        host.check_output(f"mv {program}.away {program}")

    assert run.returncode == 0, run.stdout + run.stderr
    told = " ".join(run.stdout.split())
    assert "home.local is not announced, because Avahi cannot be installed from a bundle" in told
    assert f"devices open http://{home.address}/trust" in told


def test_switched_off_nothing_of_it_is_left(home: Home, host: Host, kubectl: Kubectl, page: str) -> None:
    off = ("-e", '{"welcome_enabled": false}', TRAEFIK)
    run = home.play(STAGE, *off)
    try:
        assert run.returncode == 0, run.stdout + run.stderr
        assert "changed=0" in home.play(STAGE, *off).stdout
        assert eventually(lambda: _status(page) == 301, seconds=30)
        assert not host.file(f"/etc/systemd/system/{UNIT}.service").exists
        assert mdns.addresses("home.local", home.tests, seconds=2) == set()
        assert "welcome" not in [each["metadata"]["name"] for each in kubectl.get("namespaces")["items"]]
        assert not (home.secrets / "welcome.key").exists()
    finally:
        run = home.play(STAGE, TRAEFIK)
    assert run.returncode == 0, run.stdout + run.stderr
    assert eventually(lambda: _status(page) == 200, seconds=30)
    assert eventually(lambda: mdns.addresses("home.local", home.tests) == {home.address}, seconds=10)
    assert "changed=0" in home.play(STAGE, TRAEFIK).stdout
