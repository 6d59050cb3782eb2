"""Jaeger as the tests ask it: from outside, by its name, as the owner's browser does."""

from dataclasses import dataclass
from typing import Any

import requests

from tests.home import Home, eventually

# Spans are collected, decided upon, sent on, stored and made searchable, each in a second or a few.
PATIENCE = 60


@dataclass(frozen=True)
class Span:
    """One span of a trace.

    Attributes:
        service: whose it is.
        id: its own.
        parent: the id of the span it belongs to, or nothing.
        tags: what it says of itself.
        process: what is said of who sent it, above all `k8s.pod.name`.
    """

    service: str
    id: str
    parent: str
    tags: dict[str, Any]
    process: dict[str, Any]


@dataclass(frozen=True)
class Jaeger:
    """The Jaeger of a home."""

    home: Home

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://jaeger.{self.home.domain}"

    @property
    def credentials(self) -> tuple[str, str]:
        """What opens it."""
        return "admin", (self.home.secrets / "traefik_dashboard.password").read_text().strip()

    def get(self, path: str, **parameters: str) -> requests.Response:
        """Ask its API."""
        return requests.get(
            f"{self.url}/api/{path}",
            params=parameters,
            auth=self.credentials,
            verify=self.home.ca,
            timeout=30,
        )

    def spans(self, trace: str) -> list[Span]:
        """Return the spans of a trace that there are now."""
        answer = self.get(f"traces/{trace}")
        if answer.status_code != requests.codes.ok:
            return []
        (found,) = answer.json()["data"]
        processes = found["processes"]
        return [
            Span(
                processes[span["processID"]]["serviceName"],
                span["spanID"],
                next((each["spanID"] for each in span["references"]), ""),
                _tags(span["tags"]),
                _tags(processes[span["processID"]].get("tags", [])),
            )
            for span in found["spans"]
        ]

    def trace(self, trace: str, *services: str) -> list[Span]:
        """Wait until a trace has spans of these services, and return all it has."""
        found: list[Span] = []

        def whole() -> bool:
            found[:] = self.spans(trace)
            return {span.service for span in found} >= set(services)

        assert eventually(whole, PATIENCE), f"trace {trace} after {PATIENCE} s: {found}"
        return found


def _tags(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    return {pair["key"]: pair["value"] for pair in pairs}
