"""Prometheus as the tests ask it: from outside, by its name, as the owner's browser does."""

from dataclasses import dataclass
from typing import Any

import requests

from tests.home import Home


@dataclass(frozen=True)
class Prometheus:
    """The Prometheus of a home."""

    home: Home

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://prometheus.{self.home.domain}"

    @property
    def credentials(self) -> tuple[str, str]:
        """What opens it."""
        return "admin", (self.home.secrets / "traefik_dashboard.password").read_text().strip()

    def api(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of its API, which must be a success."""
        answer = requests.get(
            f"{self.url}/api/v1/{path}",
            params=parameters,
            auth=self.credentials,
            verify=self.home.ca,
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series an expression gives now, each with its `metric` and `value`."""
        result: list[dict[str, Any]] = self.api("query", query=expression)["result"]
        return result

    def value(self, expression: str) -> float:
        """Return the one value an expression gives now; 0 where it gives none."""
        result = self.query(expression)
        return float(result[0]["value"][1]) if result else 0.0
