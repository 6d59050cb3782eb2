"""Downloads that resume after an interruption, and whose checksums are verified."""

from __future__ import annotations

import hashlib
import http.client
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from ..libraries import missing

try:
    import requests
except ImportError as error:
    requests = missing(error)

Say = Callable[[str], None]
"""Shows the user a line."""
Ask = Callable[[Mapping[str, str]], "requests.Response"]
"""Sends a request with more headers; the body of the answer is not read yet."""

_PATIENCE = 300.0
"""Seconds without progress after which a download fails."""
_LONGEST_PAUSE = 30.0
_TIMEOUT = (20, 60)
"""Timeout in seconds for a connection, and between two pieces of a response."""
_PIECE = 2**16
_LATER = (http.client.TOO_MANY_REQUESTS, *range(500, 600))
_NAMES = {"sha256": "SHA-256", "sha3_384": "SHA3-384"}


class DownloadError(Exception):
    """A server does not return the requested file; the message says which, and what to do."""


class _AwayError(Exception):
    """A server asks for a later retry."""


class Checksum(NamedTuple):
    """The expected checksum of a file: an algorithm of hashlib, and its result in hex."""

    algorithm: str
    value: str


class Web:
    """An HTTP client that retries while a server is unavailable."""

    def __init__(self, say: Say, patience: float = _PATIENCE) -> None:
        """Use the proxy and the trusted authorities of the environment, if it sets them."""
        self._session = requests.Session()
        # Registry logins are passed explicitly, and a .netrc would replace their tokens.
        self._session.auth = _keep_headers
        self._say = say
        self._patience = patience

    def ask(
        self, url: str, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> requests.Response:
        """Send one request; any response is returned.

        Raises:
            requests.RequestException: there is no response.
        """
        return self._session.request(
            method, url, headers=dict(headers or {}), stream=True, timeout=_TIMEOUT, allow_redirects=True
        )

    def get(self, url: str, ask: Ask | None = None) -> requests.Response:
        """Return a successful response with its whole body.

        Raises:
            DownloadError: there is no response, or an error.
        """
        waiting = _Waiting(url, self._patience, self._say)
        while True:
            try:
                answer = ask({}) if ask else self.ask(url)
                if answer.status_code not in _LATER:
                    _require_success(url, answer)
                    answer.content  # noqa: B018 # reads it
                    return answer
                waiting.pause(f"answers {answer.status_code}", answer)
            except (requests.RequestException, _AwayError) as error:
                waiting.pause(_cause(error))

    def fetch(self, url: str, target: Path, checksum: Checksum, ask: Ask | None = None) -> None:
        """Download a file, unless it exists; an interrupted download resumes.

        Raises:
            DownloadError: the server does not return it, or returns a different file.
            OSError: it cannot be written.
        """
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part")
        waiting = _Waiting(url, self._patience, self._say)
        while True:
            begun = part.stat().st_size if part.exists() else 0
            try:
                self._append(part, begun, waiting, ask or (lambda headers: self.ask(url, headers)), url)
            except (requests.RequestException, _AwayError) as error:
                waiting.pause(_cause(error))
                continue
            found = _digest(part, checksum.algorithm)
            if found == checksum.value:
                part.replace(target)
                return
            part.unlink()
            # The partial file of an earlier attempt may belong to different content.
            if not begun:
                name = _NAMES[checksum.algorithm]
                raise DownloadError(f"{url} has {name} {found}, not {checksum.value} -> try again later")

    def _append(self, part: Path, begun: int, waiting: _Waiting, ask: Ask, url: str) -> None:
        with ask({"Range": f"bytes={begun}-"} if begun else {}) as answer:
            if answer.status_code in _LATER:
                raise _AwayError(f"answers {answer.status_code}")
            if answer.status_code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # it is complete, or its checksum will not match
            _require_success(url, answer)
            goes_on = answer.status_code == http.client.PARTIAL_CONTENT
            with part.open("ab" if goes_on else "wb") as file:
                for piece in answer.iter_content(_PIECE):
                    file.write(piece)
                    waiting.progress()


class _Waiting:
    """Waits with increasing pauses for a server, as long as data arrive from time to time."""

    def __init__(self, url: str, patience: float, say: Say) -> None:
        self._url, self._patience, self._say = url, patience, say
        self._since = time.monotonic()
        self._pause = 1.0

    def progress(self) -> None:
        self._since, self._pause = time.monotonic(), 1.0

    def pause(self, why: str, answer: requests.Response | None = None) -> None:
        """Wait a while before the next attempt.

        Raises:
            DownloadError: nothing has arrived for too long.
        """
        waited = time.monotonic() - self._since
        told = answer.headers.get("Retry-After", "") if answer is not None else ""
        pause = min(float(told), self._patience) if told.isdecimal() else self._pause
        if waited + pause > self._patience:
            raise DownloadError(
                f"{self._url} {why}, for {waited:.0f} s -> try again later, it continues from here"
            )
        self._say(f"{self._url} {why}; asking again in {pause:.0f} s")
        time.sleep(pause)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _require_success(url: str, answer: requests.Response) -> None:
    if not answer.ok:
        said = " ".join(answer.text.split())[:300]
        raise DownloadError(f"{url} answers {answer.status_code} {answer.reason}: {said}".rstrip(": "))


def _cause(error: Exception) -> str:
    if isinstance(error, _AwayError):
        return str(error)
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "broke off"
    return f"does not answer ({error})"


def _digest(file: Path, algorithm: str) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
