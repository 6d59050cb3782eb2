"""Jaeger from the outside, by its name, like in the owner's browser."""

from dataclasses import dataclass
from typing import Any

import requests

from harness.home import Home, eventually

# Spans are collected, sampled, sent, stored and indexed, each in a few seconds at most.
PATIENCE = 60
# Its placeholder says so, where it was built without its pages.
WITHOUT_PAGES = "not compiled with the UI assets"


@dataclass(frozen=True)
class Span:
    """One span of a trace.

    Attributes:
        service: the service it belongs to.
        id: its id.
        parent: the id of its parent span, if any.
        tags: its attributes.
        process: the attributes of its sender, above all `k8s.pod.name`.
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
        """Its URL."""
        return f"https://jaeger.{self.home.domain}"

    @property
    def credentials(self) -> tuple[str, str]:
        """Its user and password."""
        return "admin", (self.home.secrets / "traefik_dashboard.password").read_text().strip()

    def get(self, path: str, **parameters: str) -> requests.Response:
        """Query its API."""
        return requests.get(
            f"{self.url}/api/{path}",
            params=parameters,
            auth=self.credentials,
            verify=self.home.ca,
            timeout=30,
        )

    def spans(self, trace: str) -> list[Span]:
        """Return the current spans of a trace."""
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
        """Wait until a trace has spans of these services, and return all of its spans."""
        found: list[Span] = []

        def whole() -> bool:
            found[:] = self.spans(trace)
            return {span.service for span in found} >= set(services)

        assert eventually(whole, PATIENCE), f"trace {trace} after {PATIENCE} s: {found}"
        return found


def _tags(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    return {pair["key"]: pair["value"] for pair in pairs}
