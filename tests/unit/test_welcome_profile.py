"""The profile for Apple's devices: what it contains, who signed it, and that a second run changes nothing."""

import base64
import plistlib
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from harness.rendering import Object, Role, find
from plugins.filter.certificates import fingerprint
from plugins.filter.welcome import common_name, signed_profile, trust_profile
from tests.unit.test_certificate_authority import Home

HOST = "welcome.home.arpa"


class Issued(Home):
    """A home whose authority has issued the certificate of the page."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self.state = state
        self.authority().create()
        self.issue_page()

    def issue_page(self) -> bool:
        """Issue the page's certificate as the role does; return whether there was something to do."""
        return self.authority().issue("welcome", [HOST], by_next=True)

    def text(self, name: str) -> str:
        """A file of the authority."""
        return (self.secrets / name).read_text()

    def objects(self, **variables: Any) -> list[Object]:
        """What the role applies."""
        built = {"homeserver_built_images": {"homeserver-welcome": "welcome:1"}}
        return Role("welcome", self.state, **built, **variables).objects()

    def profile(self) -> bytes:
        """The signed profile that the role applies."""
        data = find(self.objects(), "ConfigMap", "welcome")["binaryData"]
        return base64.b64decode(data["profile"])


@pytest.fixture
def home(tmp_path: Path) -> Issued:
    """A home."""
    return Issued(tmp_path)


def _content(home: Issued, profile: bytes, *authorities: str) -> dict[str, Any]:
    """Verify the signature with OpenSSL against authorities of the home, and return what was signed."""
    directory = home.state / "openssl"
    directory.mkdir(exist_ok=True)
    (directory / "profile").write_bytes(profile)
    (directory / "ca").write_text("".join(home.text(f"{each}.crt") for each in authorities))
    verified = subprocess.run(
        [
            *("openssl", "cms", "-verify", "-inform", "DER", "-purpose", "any"),
            *("-in", directory / "profile", "-CAfile", directory / "ca"),
        ],
        capture_output=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr.decode()
    content: dict[str, Any] = plistlib.loads(verified.stdout)
    return content


def _payloads(profile: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [each for each in profile["PayloadContent"] if each["PayloadType"] == kind]


def test_the_home_has_signed_it(home: Issued) -> None:
    profile = _content(home, home.profile(), "ca")

    assert profile["PayloadType"] == "Configuration"
    assert profile["PayloadIdentifier"] == "arpa.home.trust"


def test_another_authority_has_not(home: Issued, tmp_path: Path) -> None:
    other = Issued(tmp_path / "other")
    (other.secrets / "ca.crt").rename(home.secrets / "other.crt")

    with pytest.raises(AssertionError, match="certificate verify error"):
        _content(home, home.profile(), "other")


def test_a_changed_profile_is_noticed(home: Issued) -> None:
    changed = home.profile().replace(b"Home server home.arpa", b"Home server evil.arpa")

    with pytest.raises(AssertionError, match=r"digest|verif"):
        _content(home, changed, "ca")


def test_it_contains_the_authority_and_an_icon(home: Issued) -> None:
    profile = _content(home, home.profile(), "ca")
    (root,) = _payloads(profile, "com.apple.security.root")
    (icon,) = _payloads(profile, "com.apple.webClip.managed")

    assert root["PayloadContent"] == home.certificate("ca").public_bytes(serialization.Encoding.DER)
    assert root["PayloadDisplayName"] == "Home server CA of home.arpa"
    assert (icon["URL"], icon["Label"]) == (f"https://{HOST}/", "home.arpa")
    assert len(profile["PayloadContent"]) == 2


def test_it_has_no_key(home: Issued) -> None:
    objects = home.objects()
    keys = [home.text(f"{name}.key").strip() for name in ("ca", "welcome")]
    applied = [base64.b64encode(key.encode()).decode() for key in keys]

    assert b"PRIVATE" not in home.profile()
    assert [key for key in keys if key in str(find(objects, "ConfigMap", "welcome"))] == []
    # Traefik needs that of the page.
    assert find(objects, "Secret", "certificate")["data"]["tls.key"] == applied[1]
    assert applied[0] not in str(objects)


def test_identifiers_only_depend_on_the_content(home: Issued, tmp_path: Path) -> None:
    first, again = (trust_profile([home.text("ca.crt")], "home.arpa", f"https://{HOST}/") for _ in range(2))
    other = Issued(tmp_path / "other")
    foreign = plistlib.loads(trust_profile([other.text("ca.crt")], "home.arpa", f"https://{HOST}/").encode())
    known = plistlib.loads(first.encode())

    assert first == again
    # A device replaces a profile with the same identifier, and recognizes another authority by its UUID.
    assert foreign["PayloadIdentifier"] == known["PayloadIdentifier"]
    assert foreign["PayloadUUID"] != known["PayloadUUID"]
    uuids = [known["PayloadUUID"], *(each["PayloadUUID"] for each in known["PayloadContent"])]
    assert len(set(uuids)) == 3
    (before,), (after,) = (_payloads(each, "com.apple.security.root") for each in (known, foreign))
    assert before["PayloadUUID"] != after["PayloadUUID"]
    assert before["PayloadIdentifier"] != after["PayloadIdentifier"]


def test_it_is_signed_again_only_if_something_changed(home: Issued) -> None:
    def signed(former: str, profile: str = "<plist/>") -> str:
        certificate, key, issuer = map(home.text, ("welcome.crt", "welcome.key", "ca.crt"))
        return signed_profile(profile, certificate, key, issuer, former)

    first = signed("")
    assert signed(first) == first
    assert signed(first, "<plist>other</plist>") != first
    (home.secrets / "welcome.key").unlink()
    assert home.issue_page()
    assert signed(first) != first


def test_during_a_rotation_it_contains_both_authorities(home: Issued) -> None:
    home.authority().begin()
    assert home.issue_page()
    profile = _content(home, home.profile(), "ca.next")
    roots = _payloads(profile, "com.apple.security.root")

    assert [root["PayloadDisplayName"] for root in roots] == [
        common_name(home.text(f"{name}.crt")) for name in ("ca", "ca.next")
    ]


def test_the_page_has_a_certificate_of_the_authority_that_stays(home: Issued) -> None:
    def issuer() -> x509.Name:
        return home.certificate("welcome").issuer

    assert issuer() == home.certificate("ca").subject
    home.authority().begin()
    assert home.issue_page()
    assert issuer() == home.certificate("ca.next").subject
    assert not home.issue_page()
    home.authority().switch()
    assert not home.issue_page()
    assert issuer() == home.certificate("ca").subject


def test_the_key_of_the_next_authority_must_be_its_own(home: Issued) -> None:
    home.authority().begin()
    (home.secrets / "ca.next.key").write_text(home.text("ca.key"))

    with pytest.raises(Exception, match=r"ca\.next\.key does not belong to .*ca\.next\.crt"):
        home.issue_page()


def test_the_page_shows_the_fingerprint_of_the_summary(home: Issued) -> None:
    settings = Role("welcome", home.state).value("_welcome_settings")

    assert settings["authorities"] == [
        {"name": "Home server CA of home.arpa", "fingerprint": fingerprint(home.text("ca.crt"))}
    ]
    assert settings["former_host"] == ""


def test_during_a_rotation_it_also_asks_for_the_present_authority(home: Issued) -> None:
    home.authority().begin()
    settings = Role("welcome", home.state).value("_welcome_settings")

    assert [each["fingerprint"] for each in settings["authorities"]] == [
        fingerprint(home.text(f"{name}.crt")) for name in ("ca", "ca.next")
    ]
    assert settings["former_host"] == "traefik.home.arpa"
    assert {*find(home.objects(), "ConfigMap", "welcome")["data"]} >= {"ca.crt", "ca-next.crt"}


def test_a_first_dry_run_has_nothing_to_sign_with(tmp_path: Path) -> None:
    built = {"homeserver_built_images": {"homeserver-welcome": "welcome:1"}}
    objects = Role("welcome", tmp_path, **built).objects()
    data = find(objects, "ConfigMap", "welcome")["binaryData"]

    assert plistlib.loads(base64.b64decode(data["profile"]))["PayloadType"] == "Configuration"
