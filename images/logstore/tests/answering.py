"""A fake JSON server: it responds by path, and records the requests."""

import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Request(NamedTuple):
    """A request."""

    method: str
    path: str
    headers: Mapping[str, str]  # with lower-case names
    body: bytes


class Answering(ThreadingHTTPServer):
    """Returns the configured response for a path: JSON, or a status and JSON; 404 for other paths."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = dict(answers)
        self.requests: list[Request] = []


class _Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.requests.append(
            Request(
                self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body
            )
        )
        answer = self.server.answers.get(self.path.partition("?")[0], (404, {}))
        status, content = answer if isinstance(answer, tuple) else (200, answer)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    do_POST = do_GET  # noqa: N815 (so called there)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
