"""daemon-cluster-agent: applies launch configurations, and takes images from other nodes."""

import argparse
import hmac
import json
import ssl
import subprocess
import tempfile
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import arguments, images, launch, paths

SCAN_INTERVAL = 5
# A client that sends nothing for so long is dropped.
IDLE_TIMEOUT = 240


class Handler(BaseHTTPRequestHandler):
    """Answers the part of MicroK8s' cluster API that works without joining."""

    timeout = IDLE_TIMEOUT

    def do_GET(self) -> None:
        """Say that the agent is alive."""
        if self.path == "/health":
            self._answer(HTTPStatus.OK, {"status": "OK"})
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "not part of the lab's MicroK8s"})

    def do_POST(self) -> None:
        """Import the images in the request, which must know this cluster's callback token."""
        if self.path != images.IMPORT_PATH:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "not part of the lab's MicroK8s"})
            return
        expected = paths.credential("callback-token.txt").read_text().strip()
        if not hmac.compare_digest(expected, self.headers.get(images.TOKEN_HEADER, "")):
            self._answer(HTTPStatus.UNAUTHORIZED, {"error": "invalid token"})
            return
        failure = self._import(int(self.headers["Content-Length"]))
        if failure:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": failure})
        else:
            self._answer(HTTPStatus.OK, {})

    def _import(self, size: int) -> str:
        """Import the images in the request's body; return what ctr complains about."""
        with tempfile.TemporaryFile() as archive:
            while size and (chunk := self.rfile.read(min(size, 1 << 20))):
                size -= archive.write(chunk)
            archive.seek(0)
            command = images.ctr("images", "import", "-")
            done = subprocess.run(command, stdin=archive, capture_output=True, text=True, check=False)
        return done.stderr or "import failed" if done.returncode else ""

    def _answer(self, status: HTTPStatus, content: dict[str, str]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def server() -> ThreadingHTTPServer:
    """Return the agent's server, bound and not yet serving."""
    parser = argparse.ArgumentParser("cluster-agent")
    parser.add_argument("--bind", required=True)
    parser.add_argument("--certfile", required=True)
    parser.add_argument("--keyfile", required=True)
    options = parser.parse_args(arguments.load("cluster-agent"))
    host, port = options.bind.rsplit(":", 1)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.certfile, options.keyfile)
    bound = ThreadingHTTPServer((host, int(port)), Handler)
    # The handshake is the handler thread's business: here it would keep all others waiting.
    bound.socket = context.wrap_socket(bound.socket, server_side=True, do_handshake_on_connect=False)
    return bound


def main() -> None:
    """Serve and scan, for ever."""
    threading.Thread(target=server().serve_forever, daemon=True).start()
    while True:
        launch.apply_pending(paths.common() / "etc/launcher")
        time.sleep(SCAN_INTERVAL)
