"""As much of Elasticsearch as is asked here, with nothing but Python."""

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
"""Seconds one request may take."""
UNAUTHENTICATED = 401
"""What it answers who has another password than it knows."""
UNAVAILABLE = 503
"""What it answers while it starts, or has lost the other nodes."""
_PAUSE = 1.0


class UnreachableError(Exception):
    """Elasticsearch does not answer; the message says where it was looked for, and why not."""


class RefusedError(Exception):
    """Elasticsearch did not do what it was asked; the message says what and why.

    Attributes:
        status: The status it answered with.
        type: What it calls the error, such as index_not_found_exception; empty where it has no name for it.
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        """Say what was refused."""
        super().__init__(message)
        self.status = status
        self.type = kind


class Elasticsearch:
    """A cluster, asked as one of its users."""

    def __init__(
        self,
        url: str,
        user: str = "",
        password: str = "",
        authority: Path | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        """Name a cluster; nothing is asked yet.

        Args:
            url: Where it is.
            user: Who asks; empty where it wants no name.
            password: The password of that user.
            authority: The file with the certificate of the authority that its own is signed by.
            timeout: Seconds one request may take.
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
        """Use ELASTICSEARCH_URL, _USER, _PASSWORD_FILE and _CA_FILE; only the first has to be set."""
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
        """Make or replace something."""
        return self.ask("PUT", path, body, **query)

    def post(self, path: str, body: Object | None = None, **query: object) -> Any:
        """Have something done."""
        return self.ask("POST", path, body, **query)

    def delete(self, path: str, **query: object) -> Any:
        """Take something away."""
        return self.ask("DELETE", path, None, **query)

    def find(self, path: str, **query: object) -> Any:
        """Read something that may not be there, which gives None."""
        try:
            return self.get(path, **query)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def bulk(self, lines: Iterable[Object], **query: object) -> Any:
        """Carry out many actions; some may have failed, which the answer tells.

        Args:
            lines: Actions and their documents, as the bulk API takes them.
            query: Options of the request.
        """
        body = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
        return self._send("POST", "_bulk", body, query)

    def ask(self, method: str, path: str, body: Object | None = None, **query: object) -> Any:
        """Send a request and return what is answered.

        Args:
            method: GET, PUT, POST or DELETE.
            path: What it is about, without the slash before.
            body: What is sent along.
            query: Options of the request.

        Raises:
            RefusedError: It was answered, with an error.
            UnreachableError: It was not answered.
        """
        return self._send(method, path, None if body is None else json.dumps(body).encode(), query)

    def wait(self, seconds: float, status: str = "yellow") -> None:
        """Wait until the cluster is at least of a status.

        Raises:
            RefusedError: It does not let this user in, or is not of that status in time.
            UnreachableError: It did not answer in time.
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
        request = urllib.request.Request(url, data, self._headers, method=method)  # noqa: S310 (our own server)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout, context=self._context) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise _refusal(f"{method} {path}", error.code, error.read().decode(errors="replace")) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise UnreachableError(f"Elasticsearch at {self._url} does not answer: {reason}") from error


def _refusal(request: str, status: int, text: str) -> RefusedError:
    """Put what Elasticsearch says of an error, and of what caused it, into one line."""
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
