"""A server on the LAN, outside of Kubernetes, with a route in the scenarios' home."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8099  # the port in molecule/variables.yml
SAYS = "from the LAN"


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
