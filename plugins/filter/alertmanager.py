"""The filter that combines Alertmanager's receivers of all kinds in one list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

Receiver = dict[str, Any]

_SECRETS = ("url", "token", "user_key", "password")
_WANTED = {"severities": "severity", "teams": "team", "alerts": "alertname"}
_PORTS = {"http": 80, "https": 443}

_NTFY = '?{{ template "home.ntfy" . }}'
"""Suffix of the URL of a topic; Alertmanager reads it as a template."""


def alertmanager_receivers(given: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[Receiver]:
    """Combine receivers, which are grouped by kind, in one list.

    Each receiver gets its `kind`, a unique `name` such as ntfy-1, the `matchers` of its alerts, the `port` of
    its address, or 0 if the address is invalid, and its `secrets` by file name.
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
    """Return the TCP port of a receiver; one without an address uses a public service."""
    try:
        if "smarthost" in receiver:
            return urlsplit(f"//{receiver['smarthost']}").port or 0
        address = urlsplit(str(receiver.get("url", "https://public")))
        return (address.port or _PORTS.get(address.scheme, 0)) if address.hostname else 0
    except ValueError:
        return 0


class FilterModule:
    """The filter by its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"alertmanager_receivers": alertmanager_receivers}
