"""Who else is in the network: a server with a route in the scenarios' home, and a stranger."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8099  # the port in molecule/variables.yml
SAYS = "from the LAN"
# Of a network that is not private (RFC 5737), so not of a home.
STRANGER = "203.0.113.77"


class _Nas(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{SAYS}: {self.path}".encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(address: str) -> Iterator[None]:
    """Serve at an address of this computer until the block ends, unless another process does already."""
    try:
        server = ThreadingHTTPServer((address, PORT), _Nas)
    except OSError:
        yield
        return
    threading.Thread(target=server.serve_forever).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def with_stranger(address: str) -> Iterator[None]:
    """Give this computer the address `STRANGER` on its way to a home at `address`, until the block ends."""
    routes = json.loads(subprocess.check_output(["ip", "-json", "route", "get", address]))
    added = [f"{STRANGER}/32", "dev", routes[0]["dev"]]
    subprocess.run(["ip", "address", "replace", *added], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "address", "delete", *added], check=True)
