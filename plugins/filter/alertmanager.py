"""The filter that makes one list of all of Alertmanager's receivers, whatever their kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

Receiver = dict[str, Any]

_SECRETS = ("url", "token", "user_key", "password")
_WANTED = {"severities": "severity", "teams": "team", "alerts": "alertname"}
_PORTS = {"http": 80, "https": 443}

_NTFY = '?{{ template "home.ntfy" . }}'
"""What is added to a topic's URL, which Alertmanager takes for a template."""


def alertmanager_receivers(given: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[Receiver]:
    """Make one list of what is given by kind.

    Each receiver gets its `kind`, a `name` of its own such as ntfy-1, the `matchers` of the alerts it wants,
    the `port` it is reached at, or 0 where its address is none, and its `secrets`, by the file each is in.
    """
    return [
        {
            **receiver,
            "kind": kind,
            "name": f"{kind}-{number}",
            "matchers": list(_matchers(receiver)),
            "port": _port(receiver),
            "secrets": dict(_secrets(f"{kind}-{number}", receiver, _NTFY if kind == "ntfy" else "")),
        }
        for kind, receivers in given.items()
        for number, receiver in enumerate(receivers, 1)
    ]


def _matchers(receiver: Mapping[str, Any]) -> Iterator[str]:
    for option, label in _WANTED.items():
        if values := receiver.get(option):
            yield f'{label}=~"{"|".join(values)}"'


def _secrets(name: str, receiver: Mapping[str, Any], query: str) -> Iterator[tuple[str, str]]:
    for key in _SECRETS:
        if key in receiver:
            yield f"{name}.{key}", str(receiver[key]) + (query if key == "url" else "")


def _port(receiver: Mapping[str, Any]) -> int:
    """Return the TCP port of a receiver; one without an address has a public service's."""
    try:
        if "smarthost" in receiver:
            return urlsplit(f"//{receiver['smarthost']}").port or 0
        address = urlsplit(str(receiver.get("url", "https://public")))
        return (address.port or _PORTS.get(address.scheme, 0)) if address.hostname else 0
    except ValueError:
        return 0


class FilterModule:
    """The filter, by its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give it to Ansible."""
        return {"alertmanager_receivers": alertmanager_receivers}
