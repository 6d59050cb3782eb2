"""The part of the Kubernetes API that the receiver uses, with state."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TEMPLATE = {
    "metadata": {"labels": {"app.kubernetes.io/name": "disk-cleanup"}},
    "spec": {"template": {"spec": {"containers": [{"name": "cleanup"}]}}},
}


class KubernetesApi(ThreadingHTTPServer):
    """An API server with one CronJob and its Jobs."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.jobs: list[dict[str, Any]] = []
        self.tokens: set[str] = set()
        self.broken = False

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, node: str, minutes_ago: float, *, active: int = 0) -> None:
        """Add a Job from an earlier time."""
        created = datetime.now(UTC) - timedelta(minutes=minutes_ago)
        metadata = {
            "name": f"disk-cleanup-{len(self.jobs)}",
            "labels": {"homeserver.stack/node": node},
            "creationTimestamp": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        self.jobs.append({"metadata": metadata, "status": {"active": active} if active else {}})


class _Handler(BaseHTTPRequestHandler):
    server: KubernetesApi

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/apis/batch/v1/namespaces/cleanup/cronjobs/disk-cleanup":
            return self._answer({"spec": {"jobTemplate": TEMPLATE}})
        assert url.path == "/apis/batch/v1/namespaces/cleanup/jobs"
        (selector,) = parse_qs(url.query)["labelSelector"]
        label, _, value = selector.partition("=")
        return self._answer(
            {"items": [j for j in self.server.jobs if j["metadata"]["labels"].get(label) == value]}
        )

    def do_POST(self) -> None:
        assert self.path == "/apis/batch/v1/namespaces/cleanup/jobs"
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        job["metadata"] |= {
            "name": f"{job['metadata']['generateName']}{len(self.server.jobs)}",
            "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        job["status"] = {"active": 1}
        self.server.jobs.append(job)
        self._answer(job)

    def _answer(self, content: dict[str, Any]) -> None:
        self.server.tokens.add(self.headers["Authorization"])
        self.send_response(500 if self.server.broken else 200)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(server: Any) -> Iterator[None]:
    """Serve until the end of the block."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
