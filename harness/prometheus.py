"""Prometheus from the outside, by its name, like in the owner's browser."""

import time
from dataclasses import dataclass
from typing import Any

import requests

from harness.home import Home

_PATIENCE = 60  # seconds, while passwords were tried too often


@dataclass(frozen=True)
class Prometheus:
    """The Prometheus of a home."""

    home: Home

    @property
    def url(self) -> str:
        """Its URL."""
        return f"https://prometheus.{self.home.domain}"

    @property
    def credentials(self) -> tuple[str, str]:
        """Its user and password."""
        return "admin", (self.home.secrets / "traefik_dashboard.password").read_text().strip()

    def api(self, path: str, **parameters: str) -> Any:
        """Return the data of a successful response. Pause if Traefik has seen too many passwords."""
        deadline = time.monotonic() + _PATIENCE
        while (answer := self._ask(path, parameters)).status_code == requests.codes.too_many_requests:
            assert time.monotonic() < deadline, f"{path}: {answer.text} for {_PATIENCE} s"
            time.sleep(1)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def _ask(self, path: str, parameters: dict[str, str]) -> requests.Response:
        return requests.get(
            f"{self.url}/api/v1/{path}",
            params=parameters,
            auth=self.credentials,
            verify=self.home.ca,
            timeout=30,
        )

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the current series of an expression, each with its `metric` and `value`."""
        result: list[dict[str, Any]] = self.api("query", query=expression)["result"]
        return result

    def value(self, expression: str) -> float:
        """Return the single current value of an expression; 0 if there is none."""
        result = self.query(expression)
        return float(result[0]["value"][1]) if result else 0.0
