"""Answers like snapd."""

import http.server
import json
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def answering(path: str, answers: Mapping[str, Any]) -> Iterator[None]:
    """Answer at a socket, with these results by the path of a request; any other is an error."""

    class Answering(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            good = self.path in answers
            content = (
                {"type": "sync", "result": answers[self.path]}
                if good
                else {"type": "error", "result": {"message": "no"}}
            )
            self.send_response(200 if good else 404)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(socketserver.UnixStreamServer):
        def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
            return super().get_request()[0], ("snapd", 0)

    with Server(path, Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()
    Path(path).unlink()
