"""daemon-cluster-agent: applies launch configurations, admits other nodes, and receives images from them."""

import argparse
import json
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from . import admission, arguments, configuration, console, images, launch, paths, peers, tokens

SCAN_INTERVAL = 5
# Timeout of a silent client.
IDLE_TIMEOUT = 240


class Handler(BaseHTTPRequestHandler):
    """Implements the part of MicroK8s' cluster API that workers need, and what a bad one would use."""

    timeout = IDLE_TIMEOUT

    def do_GET(self) -> None:
        """Report that the agent is alive."""
        if self.path == "/health":
            self._answer(HTTPStatus.OK, {"status": "OK"})
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "not part of the lab's MicroK8s"})

    def do_POST(self) -> None:
        """Do what the path says."""
        actions: dict[str, Callable[[], dict[str, Any]]] = {
            images.IMPORT_PATH: self._receive_images,
            peers.JOIN_PATH: self._admit,
            peers.SIGN_PATH: lambda: admission.sign(self._content()),
            peers.CONFIGURE_PATH: lambda: configuration.configure(self._content()),
        }
        if self.path not in actions:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "not part of the lab's MicroK8s"})
            return
        try:
            answer = actions[self.path]()
        except admission.RefusedError as error:
            self._answer(error.status, {"error": str(error)})
        except (OSError, subprocess.CalledProcessError) as error:
            console.say(f"{self.path} failed: {error}")
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": str(error)})
        else:
            self._answer(HTTPStatus.OK, answer)

    def _admit(self) -> dict[str, Any]:
        contacted = self.headers.get("Host", "").rpartition(":")[0]
        return admission.admit(self._content(), self.client_address[0], contacted)

    def _content(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        except ValueError as error:
            raise admission.RefusedError(str(error), HTTPStatus.BAD_REQUEST) from error

    def _receive_images(self) -> dict[str, Any]:
        """Import the images in the request, which must contain this cluster's callback token."""
        if not tokens.is_callback(self.headers.get(images.TOKEN_HEADER, "")):
            raise admission.RefusedError("invalid token", HTTPStatus.UNAUTHORIZED)
        if failure := self._import(int(self.headers["Content-Length"])):
            raise admission.RefusedError(failure)
        return {}

    def _import(self, size: int) -> str:
        """Import the images in the request's body; return ctr's errors."""
        with tempfile.TemporaryFile() as archive:
            while size and (chunk := self.rfile.read(min(size, 1 << 20))):
                size -= archive.write(chunk)
            archive.seek(0)
            command = images.ctr("images", "import", "-")
            done = subprocess.run(command, stdin=archive, capture_output=True, text=True, check=False)
        return done.stderr or "import failed" if done.returncode else ""

    def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def server() -> ThreadingHTTPServer:
    """Return the agent's server, bound but not serving yet."""
    parser = argparse.ArgumentParser("cluster-agent")
    parser.add_argument("--bind", required=True)
    parser.add_argument("--certfile", required=True)
    parser.add_argument("--keyfile", required=True)
    options = parser.parse_args(arguments.load("cluster-agent"))
    host, port = options.bind.rsplit(":", 1)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.certfile, options.keyfile)
    bound = ThreadingHTTPServer((host, int(port)), Handler)
    # The TLS handshake happens in the handler's thread; here it would block all other clients.
    bound.socket = context.wrap_socket(bound.socket, server_side=True, do_handshake_on_connect=False)
    return bound


def main() -> None:
    """Serve and scan forever."""
    threading.Thread(target=server().serve_forever, daemon=True).start()
    while True:
        launch.apply_pending(paths.common() / "etc/launcher")
        time.sleep(SCAN_INTERVAL)
