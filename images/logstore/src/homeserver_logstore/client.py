"""A minimal Elasticsearch client, with only the standard library.

The image needs no package and no updates of one: elasticsearch-py would bring four, for seven requests.
"""

import base64
import json
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Object = dict[str, Any]

TIMEOUT = 60.0
"""Timeout of a request, in seconds."""
UNAUTHENTICATED = 401
"""The status for a wrong password."""
UNAVAILABLE = 503
"""Statuses while it starts, or has lost the other nodes."""
_PAUSE = 1.0


class UnreachableError(Exception):
    """Elasticsearch does not respond; the message contains its address and the reason."""


class RefusedError(Exception):
    """Elasticsearch rejected a request; the message contains the request and the reason.

    Attributes:
        status: The HTTP status.
        type: The error type, such as index_not_found_exception; empty if it has none.
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        """Create the error from its parts."""
        super().__init__(message)
        self.status = status
        self.type = kind


class Elasticsearch:
    """A connection to a cluster as one of its users."""

    def __init__(
        self,
        url: str,
        user: str = "",
        password: str = "",
        authority: Path | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        """Configure the connection; no request is sent yet.

        Args:
            url: The URL of the cluster.
            user: The user name; empty for no authentication.
            password: The password of that user.
            authority: The file with the CA certificate.
            timeout: Timeout of a request in seconds.
        """
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._context = ssl.create_default_context(cafile=str(authority)) if authority else None
        self._headers = {"Content-Type": "application/json"}
        if user:
            credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {credentials}"

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ, timeout: float = TIMEOUT
    ) -> "Elasticsearch":
        """Use ELASTICSEARCH_URL, _USER, _PASSWORD_FILE and _CA_FILE; only the first is required."""
        password = environment.get("ELASTICSEARCH_PASSWORD_FILE")
        authority = environment.get("ELASTICSEARCH_CA_FILE")
        return cls(
            environment["ELASTICSEARCH_URL"],
            environment.get("ELASTICSEARCH_USER", ""),
            Path(password).read_text().strip() if password else "",
            Path(authority) if authority else None,
            timeout,
        )

    def get(self, path: str, **query: object) -> Any:
        """Read something."""
        return self.ask("GET", path, None, **query)

    def put(self, path: str, body: Object, **query: object) -> Any:
        """Create or replace an object."""
        return self.ask("PUT", path, body, **query)

    def post(self, path: str, body: Object | None = None, **query: object) -> Any:
        """Start an action."""
        return self.ask("POST", path, body, **query)

    def delete(self, path: str, **query: object) -> Any:
        """Delete an object."""
        return self.ask("DELETE", path, None, **query)

    def find(self, path: str, **query: object) -> Any:
        """Return an object, or None if it does not exist."""
        try:
            return self.get(path, **query)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def bulk(self, lines: Iterable[Object], **query: object) -> Any:
        """Execute several actions; the response tells which of them failed.

        Args:
            lines: Actions and their documents, in the format of the bulk API.
            query: Query parameters of the request.
        """
        body = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
        return self._send("POST", "_bulk", body, query)

    def ask(self, method: str, path: str, body: Object | None = None, **query: object) -> Any:
        """Send a request and return the response.

        Args:
            method: GET, PUT, POST or DELETE.
            path: The path, without the leading slash.
            body: The request body.
            query: Query parameters of the request.

        Raises:
            RefusedError: The response is an error.
            UnreachableError: There is no response.
        """
        return self._send(method, path, None if body is None else json.dumps(body).encode(), query)

    def wait(self, seconds: float, status: str = "yellow") -> None:
        """Wait until the cluster has at least this status.

        Raises:
            RefusedError: It rejects this user, or does not reach the status in time.
            UnreachableError: It does not respond in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.get("_cluster/health", wait_for_status=status, timeout="10s")
                return
            except (RefusedError, UnreachableError) as error:
                final = isinstance(error, RefusedError) and error.status in (401, 403)
                if final or time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE)

    def _send(self, method: str, path: str, data: bytes | None, query: Mapping[str, object]) -> Any:
        words = {
            name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()
        }
        url = f"{self._url}/{path}" + (f"?{urllib.parse.urlencode(words)}" if words else "")
        request = urllib.request.Request(url, data, self._headers, method=method)  # noqa: S310 (fixed server)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout, context=self._context) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise _refusal(f"{method} {path}", error.code, error.read().decode(errors="replace")) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise UnreachableError(f"Elasticsearch at {self._url} does not answer: {reason}") from error


def _refusal(request: str, status: int, text: str) -> RefusedError:
    """Summarize an error response and its causes in one line."""
    try:
        error = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        error = text.strip()[:500]
    kind = str(error.get("type", "")) if isinstance(error, Mapping) else ""
    reasons: list[str] = []
    for reason in _reasons(error):
        if not any(reason in earlier for earlier in reasons):
            reasons.append(reason)
    return RefusedError(status, kind, f"{request}: {status} {': '.join(reasons)}")


def _reasons(error: Any) -> Iterator[str]:
    while isinstance(error, Mapping):
        if reason := error.get("reason") or error.get("type"):
            yield str(reason)
        error = error.get("caused_by")
    if isinstance(error, str):
        yield error
