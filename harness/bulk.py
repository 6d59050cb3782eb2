"""The part of Elasticsearch's API that Filebeat uses, with every failure that a test needs."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Document = dict[str, Any]
Verdict = tuple[int, dict[str, Any]]


class Elasticsearch:
    """The received documents, and the configured responses.

    Attributes:
        up: whether it responds at all.
        forgets: whether it stores documents but loses the response. It still answers when Filebeat connects
            again: with no connection left, nothing would be sent twice.
        refuse: the status for a document by its index, 201 to accept it.
        documents: the stored documents, by index and id.
        duplicates: the number of documents that it received again.
        refused: the number of responses with each status.
    """

    def __init__(self) -> None:
        self.up = True
        self.forgets = False
        self.refuse: Callable[[str, Document], int] = lambda _index, _document: 201
        self.documents: dict[tuple[str, str], Document] = {}
        self.duplicates = 0
        self.refused: Counter[int] = Counter()
        self.port = 0
        self._lock = threading.Lock()

    def messages(self, index: str = "logs-app") -> list[str]:
        """Return the messages in an index."""
        with self._lock:
            return [each["message"] for (name, _), each in self.documents.items() if name == index]

    def bulk(self, body: bytes) -> dict[str, Any]:
        """Store documents, each of which follows a line with its action."""
        lines = body.splitlines()
        with self._lock:
            items = [
                self._create(json.loads(action)["create"], json.loads(document))
                for action, document in zip(lines[::2], lines[1::2], strict=True)
            ]
        return {"errors": True, "items": [{"create": item} for item in items]}

    def _create(self, action: dict[str, str], document: Document) -> dict[str, Any]:
        key = (action["_index"], action["_id"])
        if key in self.documents:
            self.duplicates += 1
            return {"status": 409, "error": {"type": "version_conflict_engine_exception"}}
        status = self.refuse(action["_index"], document)
        if status != 201:
            self.refused[status] += 1
            return {"status": status, "error": {"type": "document_parsing_exception", "reason": "no"}}
        self.documents[key] = document
        return {"status": 201}


@contextmanager
def elasticsearch() -> Iterator[Elasticsearch]:
    """Run it on a free loopback port."""
    running = Elasticsearch()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer({"version": {"number": "8.19.21"}, "cluster_name": "test"})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = running.bulk(body) if running.up else {}
            if running.forgets:
                self.close_connection = True
            else:
                self._answer(answer, 200 if running.up else 503)

        def _answer(self, answer: dict[str, Any], status: int = 200) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status if running.up else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    running.port = server.server_port
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
