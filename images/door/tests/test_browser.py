"""A real browser with a virtual authenticator: from the invitation to a page behind the login."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.browser import Page, chromium, home_options
from harness.tls import self_signed
from images.door.tests.served import CALLBACK, LOGIN, Running, mount, running

_AUTHORIZE = (
    f"https://{LOGIN}/identity/o/authorize?client_id=gate&response_type=code&scope=openid+profile+groups"
    f"&state=s&redirect_uri={CALLBACK}&code_challenge={'c' * 43}&code_challenge_method=S256"
)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A door with TLS, as Traefik gives it to browsers."""
    directory = tmp_path_factory.mktemp("door")
    pem = self_signed(directory, LOGIN)
    with running(mount(directory), [f"--certfile={pem}", f"--keyfile={pem}"]) as served:
        yield served


@pytest.fixture
def page(door: Running, tmp_path: Path) -> Iterator[Page]:
    """A tab of a phone with a finger on its sensor."""
    pem = door.mounted.config.parent / "server.pem"
    options = home_options(f"127.0.0.1:{door.port}", "home.arpa", [pem])
    with chromium(tmp_path / "profile", options) as browser, browser.page() as tab:
        tab.resize(390, 844)
        tab.call("WebAuthn.enable")
        authenticator = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        tab.call("WebAuthn.addVirtualAuthenticator", options=authenticator)
        yield tab


def _click(page: Page, selector: str) -> None:
    page.value(f"document.querySelector({selector!r}).click()")


def test_an_invited_person_logs_in_with_a_passkey(door: Running, page: Page) -> None:
    page.open(door.command("invite", "anna")["url"])
    page.wait_for("Hello anna")
    _click(page, "#make_passkey")
    assert "Each of them lets you in once" in page.wait_for("Keep these codes")

    page.open(f"https://{LOGIN}/")
    page.wait_for("Log out here")
    _click(page, "form[action='/logout/'] button")
    page.wait_for("Welcome home")

    page.open(_AUTHORIZE)
    page.wait_for("Log in with your passkey")
    _click(page, "#passkey_login")
    # The address of the client leads here as well, to a host that the door does not know.
    page.wait_for("There is no such page")
    shown = page.value("location.href")
    assert shown.startswith(f"{CALLBACK}?"), (shown, page.errors)
    assert "code=" in shown
    assert [each for each in page.errors if "Content Security Policy" in each] == []
