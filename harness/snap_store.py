"""A stand-in for the snap store, on a machine of the lab: a proxy before snapd's socket.

snapd only trusts revisions that Canonical has signed, which no package registry has. So this answers what the
store has, and installs its files through the machine's snapd as local ones. All else is snapd's own. It shows
each local revision by the store's number, which it knows by the version.
"""

import http.client
import http.server
import json
import re
import socket
import socketserver
import sys
from pathlib import Path
from typing import Any

SOCKET, SNAPD = Path("/run/snapd.socket"), Path("/run/snapd-of-the-machine.socket")
SNAP = "microk8s"
BOUNDARY = "part-of-a-form"


class Snapd(http.client.HTTPConnection):
    """The machine's own."""

    def connect(self) -> None:
        """Connect to its socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(SNAPD))


def ask(method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Return the status and the body of its answer."""
    connection = Snapd("localhost", timeout=600)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read()


class Store:
    """The store's offer and revisions, which its file describes."""

    def __init__(self, file: Path) -> None:
        told = json.loads(file.read_text())
        self.channel, self.offered, self.silent = told["channel"], told["offered"], told["silent"]
        self.revisions: dict[str, dict[str, str]] = told["revisions"]

    def found(self) -> dict[str, Any]:
        """Return snapd's answer to a search in the store."""
        if self.silent:
            return {
                "type": "error",
                "status-code": 500,
                "result": {"message": "cannot reach the store", "kind": "network-timeout"},
            }
        revision = self.revisions[self.offered]
        offer = {"revision": self.offered, "version": revision["version"], "confinement": "classic"}
        offer |= {"channel": self.channel, "released-at": revision["released"], "size": 1}
        found = {"name": SNAP, "channels": {self.channel: offer}}
        return {"type": "sync", "status-code": 200, "status": "OK", "result": [found]}

    def shown(self, answer: Any) -> Any:
        """Return an answer with the store's number of a revision."""
        numbers = {revision["version"]: number for number, revision in self.revisions.items()}
        result = answer["result"]
        for snap in result if isinstance(result, list) else [result]:
            if snap.get("name") == SNAP:
                snap |= {"revision": numbers[snap["version"]], "tracking-channel": self.channel}
        return answer

    def local(self, number: str) -> str:
        """Return the local revision of a number."""
        _, body = ask("GET", "/v2/snaps?select=all")
        (revision,) = {
            str(snap["revision"])
            for snap in json.loads(body)["result"]
            if snap["name"] == SNAP and snap["version"] == self.revisions[number]["version"]
        }
        return revision

    def install(self) -> tuple[int, bytes]:
        """Install what it offers, from its file."""
        file = Path(self.revisions[self.offered]["file"])
        fields = {"dangerous": "true", "classic": "true", "snap-path": str(file)}
        parts = [f'name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
        parts.append(f'name="snap"; filename="{file.name}"\r\n\r\n'.encode() + file.read_bytes() + b"\r\n")
        start = f"--{BOUNDARY}\r\nContent-Disposition: form-data; ".encode()
        body = b"".join(start + part for part in parts) + f"--{BOUNDARY}--\r\n".encode()
        form = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return ask("POST", "/v2/snaps", body, form)


class Proxy(http.server.BaseHTTPRequestHandler):
    """Answers a client of snapd."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a search in the store, or pass on snapd's answer."""
        store = Store(Path(sys.argv[1]))
        if self.path == f"/v2/find?name={SNAP}":
            self._return(200, json.dumps(store.found()).encode())
            return
        status, body = ask("GET", self.path)
        if status == 200 and re.match(r"/v2/snaps(\?|/microk8s$|$)", self.path):
            body = json.dumps(store.shown(json.loads(body))).encode()
        self._return(status, body)

    def do_POST(self) -> None:
        """Let snapd do it, with a file or a local revision."""
        store = Store(Path(sys.argv[1]))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        wanted = json.loads(body) if self.path == f"/v2/snaps/{SNAP}" else {}
        if wanted.get("action") == "refresh":
            self._return(*store.install())
            return
        if wanted.get("action") == "revert":
            body = json.dumps({"action": "revert", "revision": store.local(wanted["revision"])}).encode()
        self._return(*ask("POST", self.path, body, {"Content-Type": self.headers["Content-Type"]}))

    def _return(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(socketserver.ThreadingUnixStreamServer):
    """Listens where clients look for snapd."""

    daemon_threads = True

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Return a connection; the address of a client has no port here."""
        return super().get_request()[0], ("snapd", 0)


if __name__ == "__main__":
    if not SNAPD.exists():
        SOCKET.rename(SNAPD)
    SOCKET.unlink(missing_ok=True)
    with Server(str(SOCKET), Proxy) as server:
        SOCKET.chmod(0o666)
        server.serve_forever()
