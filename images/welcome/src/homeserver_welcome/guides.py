"""The steps for each kind of device."""

from collections.abc import Callable
from html import escape

from homeserver_welcome.home import Authority, Home
from homeserver_welcome.pictures import Row, screen
from homeserver_welcome.templates import fill

GUIDES = {
    "ios": "iPhone, iPad",
    "macos": "Mac",
    "android": "Android",
    "windows": "Windows",
    "linux": "Linux, Chromebook",
    "firefox": "Firefox on Linux",
}
"""The titles of all guides. Each name is that of a file in texts/."""

_LONGEST = 22  # characters that fit beside a switch


def guide(name: str, home: Home) -> str:
    """Return the steps of a guide, as HTML."""
    fields = {
        "names": " and ".join(f"<b>{escape(each.name)}</b>" for each in home.authorities),
        "crt": _each(home, lambda each: _download(each, "crt")),
        "cer": _each(home, lambda each: _download(each, "cer")),
        "hash": _each(home, lambda each: _command(f"certutil -hashfile Downloads\\{each.file}.cer SHA256")),
        "fingerprint": _each(
            home, lambda each: _command(f"openssl x509 -in {each.file}.crt -noout -fingerprint -sha256")
        ),
        "copy": _each(home, lambda each: _command(f"sudo cp {each.file}.crt {_installed(each, home)}"))
        + _command("sudo update-ca-certificates"),
    }
    return f"<h2>{GUIDES[name]}</h2>" + fill(name, **fields, **_pictures(home))


def _pictures(home: Home) -> dict[str, str]:
    switches = [Row(_short(each.name), "switch", marked=True) for each in home.authorities]
    return {
        "downloaded": screen(
            "Settings",
            Row("Your name", "more"),
            Row("Profile Downloaded", "more", marked=True),
            Row("Wi-Fi", "more"),
        ),
        "full_trust": screen("Certificate Trust Settings", Row("Enable full trust"), *switches),
        "management": screen(
            "Device Management",
            Row(_short(f"Home server {home.domain}"), "more", marked=True),
            Row("Install…", "button", marked=True),
        ),
        "install": screen(
            "Install a certificate",
            Row("CA certificate", "more", marked=True),
            Row("VPN & app user certificate", "more"),
            Row("Wi-Fi certificate", "more"),
        ),
        "anyway": screen(
            "CA certificate", Row("Your data won't be private"), Row("Install anyway", "button", marked=True)
        ),
        "store": screen(
            "Select Certificate Store",
            Row("Personal"),
            Row("Trusted Root Certification …", marked=True),
            Row("OK", "button", marked=True),
        ),
        "manager": screen(
            "Manage certificates",
            Row("Your certificates", "more"),
            Row("Trusted certificates", "more", marked=True),
            Row("Import", "button", marked=True),
        ),
        "dialog": screen(
            "Downloading Certificate",
            Row("Trust to identify websites", "switch", marked=True),
            Row("View", "button"),
            Row("OK", "button", marked=True),
        ),
    }


def _each(home: Home, of: Callable[[Authority], str]) -> str:
    return "\n".join(of(each) for each in home.authorities)


def _download(authority: Authority, ending: str) -> str:
    file = f"{authority.file}.{ending}"
    return f'<a class="button" href="/trust/{file}">Download {file}</a>'


def _command(command: str) -> str:
    return f"<pre><code>{escape(command)}</code></pre>"


def _installed(authority: Authority, home: Home) -> str:
    """Return a file of its own for each authority and home, so that none replaces another."""
    name = authority.fingerprint.replace(":", "")[:8].lower()
    return f"/usr/local/share/ca-certificates/{home.domain}-{name}.crt"


def _short(name: str) -> str:
    """Shorten a name in its middle. The next authority's name ends in its date."""
    half = _LONGEST // 2
    return name if len(name) <= _LONGEST else f"{name[: half - 1]}…{name[-half:]}"
