"""Starts a cleanup where a disk is filling: told by Alertmanager, one at a time, and not too often."""

import hmac
import json
import os
import re
import signal
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from homeserver_automation.audit import record
from homeserver_automation.kubernetes import Jobs, Object, RefusedError

NAME = "disk-cleanup"
NODE = "homeserver.stack/node"
PORT = 8080
LARGEST = 1 << 20
"""Bytes that a message may have."""

_NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Cleaner:
    """Starts cleanups.

    Attributes:
        jobs: The Jobs among which they are.
        pause: How long to let a node alone after it was cleaned.
    """

    jobs: Jobs
    pause: timedelta

    def clean(self, node: str, alert: Mapping[str, Any]) -> str:
        """Start a cleanup of a node, unless there is one or was one just now; say what became of it.

        Raises:
            RefusedError: Kubernetes did not start it.
        """
        reason = self._reason_not_to(node)
        if reason:
            record("not started", node=node, reason=reason, alert=alert)
            return reason
        name = self.jobs.create(self._job(node, alert))
        record("started", node=node, job=name, alert=alert)
        return f"started {name}"

    def _reason_not_to(self, node: str) -> str:
        """What there is of earlier cleanups is in the cluster, which outlives this process."""
        earlier = self.jobs.labelled(NODE, node)
        if any(job["status"].get("active") for job in earlier):
            return "one is under way"
        started = [datetime.fromisoformat(job["metadata"]["creationTimestamp"]) for job in earlier]
        if started and datetime.now(UTC) - max(started) < self.pause:
            return f"the last one was started at {max(started):%H:%M} UTC"
        return ""

    def _job(self, node: str, alert: Mapping[str, Any]) -> Object:
        template = self.jobs.template(NAME)
        labels = template.get("metadata", {}).get("labels", {})
        spec = template["spec"]
        spec["template"]["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "generateName": f"{NAME}-",
                "labels": {**labels, NODE: node},
                "annotations": {"homeserver.stack/alert": json.dumps(alert)},
            },
            "spec": spec,
        }


def nodes(message: Mapping[str, Any], names: Iterable[str]) -> dict[str, Object]:
    """Return the nodes that firing alerts of these names are about, each with the labels of one of them.

    Raises:
        ValueError: It is no message of Alertmanager's.
    """
    try:
        firing = [alert["labels"] for alert in message["alerts"] if alert["status"] == "firing"]
        about = {labels.get("node", ""): labels for labels in firing if labels["alertname"] in names}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a message of Alertmanager's: {error!r}") from error
    return {node: labels for node, labels in about.items() if _NODE_NAME.fullmatch(node)}


class Receiver(HTTPServer):
    """The web server; it takes one message after the other, so that two cannot start two cleanups."""

    def __init__(self, address: tuple[str, int], cleaner: Cleaner, token: str, names: frozenset[str]) -> None:
        """Listen.

        Args:
            address: The address and port to listen at.
            cleaner: Who is to act.
            token: What a message has to bring along.
            names: The alerts to act upon.
        """
        super().__init__(address, _Handler)
        self._cleaner = cleaner
        self._token = token
        self._names = names

    def is_welcome(self, authorization: str) -> bool:
        """Tell whether a request brings the token along."""
        return hmac.compare_digest(authorization.encode(), f"Bearer {self._token}".encode())

    def act(self, message: Mapping[str, Any]) -> dict[str, str]:
        """Do what a message of Alertmanager's calls for, and return what was done, by node.

        Raises:
            ValueError: It is none.
            RefusedError: Kubernetes did not do it.
        """
        return {
            node: self._cleaner.clean(node, labels) for node, labels in nodes(message, self._names).items()
        }


class _Handler(BaseHTTPRequestHandler):
    server: Receiver
    timeout = 10  # seconds for a request, since there is one at a time

    def do_GET(self) -> None:
        """Say that it works."""
        self._answer(200 if self.path == "/healthz" else 404, {})

    def do_POST(self) -> None:
        """Take a message of Alertmanager's, which tries again after a 503."""
        if not self.server.is_welcome(self.headers.get("Authorization", "")):
            record("refused", reason="no or a wrong token", client=self.client_address[0])
            return self._answer(401, {"error": "no or a wrong token"})
        length = int(self.headers.get("Content-Length", "0"))
        if length > LARGEST:
            return self._answer(413, {"error": f"more than {LARGEST} bytes"})
        try:
            done = self.server.act(json.loads(self.rfile.read(length)))
        except ValueError as error:
            record("refused", reason=str(error))
            return self._answer(400, {"error": str(error)})
        except RefusedError as error:
            record("failed", reason=str(error))
            return self._answer(503, {"error": str(error)})
        return self._answer(200, done)

    def _answer(self, status: int, content: Mapping[str, str]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of requests: what they led to is recorded."""


def main() -> None:
    """Receive alerts until told to stop."""
    environment = os.environ
    server = f"https://{environment['KUBERNETES_SERVICE_HOST']}:{environment['KUBERNETES_SERVICE_PORT']}"
    pause = timedelta(minutes=float(environment["PAUSE_MINUTES"]))
    cleaner = Cleaner(Jobs(server, environment["POD_NAMESPACE"]), pause)
    token = Path(environment["TOKEN_FILE"]).read_text().strip()
    receiver = Receiver(("", PORT), cleaner, token, frozenset(environment["ALERTS"].split(",")))
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=receiver.shutdown).start())
    receiver.serve_forever()


if __name__ == "__main__":
    main()
