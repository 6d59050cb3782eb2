"""What Prometheus knows: which pages answer, and which alerts fire."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import requests

_FRESH = 10.0  # seconds for which an answer is used without asking again
_STALE = 60.0  # seconds after which it says nothing any more
_PATIENCE = 0.4  # seconds that a page waits for an answer, if it has none
_TIMEOUT = 3.0  # seconds until Prometheus counts as down
_SILENT = "none"
"""The severity of alerts that are no trouble, such as the dead man's switch."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Alert:
    """A firing alert.

    Attributes:
        summary: What is wrong, in plain words.
        severity: How bad it is.
        runbook: What to do, as a URL; empty without one.
    """

    summary: str
    severity: str
    runbook: str


@dataclass(frozen=True)
class Known:
    """What is known at a time.

    Attributes:
        at: When Prometheus answered, by the monotonic clock.
        up: Whether a host answers, by host.
        alerts: Firing alerts, the worst first.
    """

    at: float = float("-inf")
    up: dict[str, bool] = field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()

    @property
    def age(self) -> float:
        """How old this is, in seconds."""
        return time.monotonic() - self.at


class Health:
    """Asks Prometheus in the background, so that no page waits for it."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "health")
        self._lock = threading.Lock()
        self._known = Known()
        self._asked = float("-inf")
        self._url = ""

    def known(self, url: str) -> Known | None:
        """Return what Prometheus at this URL says; None if there is none, or it has not answered lately."""
        if not url:
            return None
        with self._lock:
            if url != self._url:
                self._url, self._known, self._asked = url, Known(), float("-inf")
            asking = None
            if self._known.age > _FRESH and time.monotonic() - self._asked > _FRESH:
                self._asked = time.monotonic()
                asking = self._pool.submit(self._ask, url)
        if asking and self._known.age > _STALE:
            wait([asking], _PATIENCE)
        return self._known if self._known.age <= _STALE else None

    def _ask(self, url: str) -> None:
        try:
            found = Known(time.monotonic(), _up(url), _alerts(url))
        except (requests.RequestException, KeyError, TypeError, ValueError) as error:
            _log.warning("Prometheus at %s does not answer as expected: %s", url, error)
            return
        with self._lock:
            if url == self._url:
                self._known = found


def _up(url: str) -> dict[str, bool]:
    found = _get(f"{url}/api/v1/query", query='min by (host) (probe_success{host!=""})')
    return {each["metric"]["host"]: float(each["value"][1]) > 0 for each in found["result"]}


def _alerts(url: str) -> tuple[Alert, ...]:
    firing = [each for each in _get(f"{url}/api/v1/alerts")["alerts"] if each["state"] == "firing"]
    alerts = {_alert(each["labels"], each["annotations"]) for each in firing}
    loud = [each for each in alerts if each.severity != _SILENT]
    return tuple(sorted(loud, key=lambda each: (each.severity != "critical", each.summary)))


def _alert(labels: dict[str, str], annotations: dict[str, str]) -> Alert:
    runbook = annotations.get("runbook_url", "")
    return Alert(
        annotations.get("summary") or labels.get("alertname", "An alert"),
        labels.get("severity", "warning"),
        runbook if runbook.startswith(("https://", "http://")) else "",
    )


def _get(url: str, **parameters: str) -> Any:
    with requests.get(url, params=parameters, timeout=_TIMEOUT) as answer:
        answer.raise_for_status()
        return answer.json()["data"]
