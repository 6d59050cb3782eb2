"""A webhook receiver: a web server that stores received messages."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from harness.waiting import PATIENCE, wait_until


@dataclass(frozen=True)
class Message:
    """One request.

    Attributes:
        path: the path, with its query.
        headers: the headers, with lower-case names.
        content: the body, decoded from JSON.
        at: the time of arrival, in seconds since the epoch.
    """

    path: str
    headers: dict[str, str]
    content: Any
    at: float


@dataclass
class Recorder:
    """The messages so far, in order."""

    port: int
    messages: list[Message] = field(default_factory=list)

    def of(self, path: str) -> list[Message]:
        """Return the messages to a path, with any query."""
        return [message for message in self.messages if message.path.partition("?")[0] == path]

    def wait(self, arrived: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait until the expected messages have arrived.

        Raises:
            TimeoutError: They have not; the message lists those that have.
        """
        wait_until(arrived, lambda: self.messages, seconds=seconds)


@contextmanager
def recording(port: int = 0, address: str = "") -> Iterator[Recorder]:
    """Listen, by default on all addresses and a free port."""
    recorder = Recorder(port)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            recorder.messages.append(Message(self.path, headers, json.loads(body), time.time()))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Do not log requests; they are stored as messages."""

    server = ThreadingHTTPServer((address, port), Handler)
    recorder.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()
