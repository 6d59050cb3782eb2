"""Puts the pages together from the templates in texts/."""

from collections.abc import Iterable
from datetime import datetime
from html import escape

from homeserver_welcome.devices import Device
from homeserver_welcome.guides import GUIDES, guide
from homeserver_welcome.home import Home
from homeserver_welcome.roll import Entry
from homeserver_welcome.templates import fill


def trust(home: Home, device: Device, chosen: str, roll: Iterable[Entry], since: datetime) -> str:
    """Return the page with the steps for a device.

    Args:
        home: The home.
        device: The device that asks.
        chosen: The guide that the reader has chosen; empty for that of the device.
        roll: What is known of the devices during a rotation.
        since: Since when that is known.
    """
    name = chosen or device.guide
    own = {field: escape(getattr(home, field)) for field in ("host", "domain", "address")}
    body = fill(
        "trust",
        **own,
        intro=_intro(home, device, name),
        choice="".join(_choice(each, title, name) for each, title in GUIDES.items()),
        rotation=fill("rotation") if home.rotates else "",
        guide=guide(name, home) if name else "",
        fingerprints="".join(
            f"<dt>{escape(each.name)}</dt><dd><code>{each.fingerprint.replace(':', ':<wbr>')}</code></dd>"
            for each in home.authorities
        ),
        former=f"https://{escape(home.former_host)}/" if home.former_host else "",
        roll=_roll(roll, since) if home.rotates else "",
        addresses=" or ".join(f"<b>{escape(each)}</b>" for each in _addresses(home)),
        code=home.code,
    )
    return fill("frame", title=f"Trust {own['domain']}", body=body)


def trusted(home: Home) -> str:
    """Return the page over HTTPS, which only opens without a warning on a device that trusts the home."""
    names = map(escape, home.pages)
    links = "".join(f'<li><a href="https://{name}/">{name}</a></li>' for name in names)
    return fill("frame", title=escape(home.domain), body=fill("trusted", links=links))


def _intro(home: Home, device: Device, name: str) -> str:
    if not name:
        return "Choose your device."
    seen = f"This device looks like: <b>{escape(device.name)}</b>. " if name == device.guide else ""
    return f"{seen}After these steps, it opens every page of {escape(home.domain)} without a warning."


def _choice(name: str, title: str, chosen: str) -> str:
    current = ' aria-current="page"' if name == chosen else ""
    return f'<a href="/trust?device={name}"{current}>{escape(title)}</a>'


def _addresses(home: Home) -> list[str]:
    return [*(f"http://{name}/" for name in home.names), f"http://{home.address}/trust"]


def _roll(roll: Iterable[Entry], since: datetime) -> str:
    rows = "".join(
        f"<tr><td>{escape(each.name)}</td><td>{escape(each.address)}</td>"
        f"<td>{'yes' if each.trusts else 'not yet'}</td><td>{each.seen:%d %b %H:%M}</td></tr>"
        for each in roll
    )
    return fill("roll", rows=rows, since=f"{since:%d %b %H:%M}")
