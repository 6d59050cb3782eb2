"""Starts a cleanup when Alertmanager reports a full disk: one at a time, with a cooldown."""

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

from homeserver_disk_cleanup.audit import record
from homeserver_disk_cleanup.kubernetes import Jobs, Object, RefusedError

NAME = "disk-cleanup"
NODE = "homeserver.stack/node"
PORT = 8080
LARGEST = 1 << 20
"""Maximum size of a message in bytes."""

_NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Cleaner:
    """Starts cleanups.

    Attributes:
        jobs: The Jobs in the cleanup's namespace.
        cooldown: Time after a cleanup in which the node gets no other.
    """

    jobs: Jobs
    cooldown: timedelta

    def clean(self, node: str, alert: Mapping[str, Any]) -> str:
        """Start a cleanup of a node unless one is running or recent; return the result as text.

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
        """Check earlier cleanups in the cluster, because this process keeps no state."""
        earlier = self.jobs.labelled(NODE, node)
        if any(job["status"].get("active") for job in earlier):
            return "one is under way"
        started = [datetime.fromisoformat(job["metadata"]["creationTimestamp"]) for job in earlier]
        if started and datetime.now(UTC) - max(started) < self.cooldown:
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
    """Return the nodes of firing alerts with these names, each with the labels of one alert.

    Raises:
        ValueError: It is not a message from Alertmanager.
    """
    try:
        firing = [alert["labels"] for alert in message["alerts"] if alert["status"] == "firing"]
        about = {labels.get("node", ""): labels for labels in firing if labels["alertname"] in names}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a message of Alertmanager's: {error!r}") from error
    return {node: labels for node, labels in about.items() if _NODE_NAME.fullmatch(node)}


class Receiver(HTTPServer):
    """The web server; it handles one message at a time, so that two cannot start two cleanups."""

    def __init__(self, address: tuple[str, int], cleaner: Cleaner, token: str, names: frozenset[str]) -> None:
        """Listen on an address.

        Args:
            address: The address and port to listen on.
            cleaner: Starts the cleanups.
            token: The token that a message must have.
            names: The alerts that start a cleanup.
        """
        super().__init__(address, _Handler)
        self._cleaner = cleaner
        self._token = token
        self._names = names

    def is_authorized(self, authorization: str) -> bool:
        """Return whether a request has the right token."""
        return hmac.compare_digest(authorization.encode(), f"Bearer {self._token}".encode())

    def act(self, message: Mapping[str, Any]) -> dict[str, str]:
        """Handle a message from Alertmanager, and return the result for each node.

        Raises:
            ValueError: It is not such a message.
            RefusedError: Kubernetes did not start the cleanup.
        """
        return {
            node: self._cleaner.clean(node, labels) for node, labels in nodes(message, self._names).items()
        }


class _Handler(BaseHTTPRequestHandler):
    server: Receiver
    timeout = 10  # seconds per request, because requests are handled one at a time

    def do_GET(self) -> None:
        """Report that the receiver works."""
        self._answer(200 if self.path == "/healthz" else 404, {})

    def do_POST(self) -> None:
        """Handle a message from Alertmanager, which retries after a 503."""
        if not self.server.is_authorized(self.headers.get("Authorization", "")):
            record("refused", reason="missing or wrong token", client=self.client_address[0])
            return self._answer(401, {"error": "missing or wrong token"})
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
        """Do not log requests; their results are recorded."""


def main() -> None:
    """Receive alerts until SIGTERM."""
    environment = os.environ
    server = f"https://{environment['KUBERNETES_SERVICE_HOST']}:{environment['KUBERNETES_SERVICE_PORT']}"
    cooldown = timedelta(minutes=float(environment["COOLDOWN_MINUTES"]))
    cleaner = Cleaner(Jobs(server, environment["POD_NAMESPACE"]), cooldown)
    token = Path(environment["TOKEN_FILE"]).read_text().strip()
    receiver = Receiver(("", PORT), cleaner, token, frozenset(environment["ALERTS"].split(",")))
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=receiver.shutdown).start())
    receiver.serve_forever()


if __name__ == "__main__":
    main()
