"""Answers requests. Traefik is the only client, and says how each came, and from where."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from homeserver_welcome import page
from homeserver_welcome.devices import Device, device
from homeserver_welcome.guides import GUIDES
from homeserver_welcome.home import Home
from homeserver_welcome.roll import Roll
from homeserver_welcome.templates import read

_THREADS = 4
_HTML, _PLAIN = "text/html; charset=utf-8", "text/plain; charset=utf-8"


class Answer(NamedTuple):
    """A response.

    Attributes:
        content: Its body.
        kind: Its media type.
        status: Its status code.
        readable: Whether scripts of other origins may read it.
    """

    content: bytes
    kind: str
    status: int = 200
    readable: bool = False


class Request(NamedTuple):
    """A request.

    Attributes:
        path: Its path.
        chosen: The guide that the reader has chosen, if any.
        device: The device that asks.
        address: The device's address.
        secure: Whether it came over HTTPS.
    """

    path: str
    chosen: str
    device: Device
    address: str
    secure: bool


class Welcome(HTTPServer):
    """The web server, with few threads, because it has little memory."""

    request_queue_size = 64

    def __init__(self, address: tuple[str, int], home: Home, roll: Roll) -> None:
        """Listen on an address."""
        super().__init__(address, _Handler)
        self._home = home
        self._roll = roll
        self._pool = ThreadPoolExecutor(_THREADS)
        self._files = _files(home)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle a request in one of the threads."""
        self._pool.submit(self._handle, request, client_address)

    def _handle(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError as error:  # the client has left
            sys.stderr.write(f"{error}\n")
        finally:
            self.shutdown_request(request)

    def answer(self, request: Request) -> Answer:
        """Return the response to a request."""
        if known := self._files.get(request.path):
            return known
        paths: dict[str, Callable[[Request], Answer]] = {
            "/": self._trusted if request.secure else self._trust,
            "/trust": self._trust,
            "/trust/": self._trust,
            "/trust/reached": self._reached,
        }
        found = paths.get(request.path)
        return found(request) if found else Answer(b"not found\n", _PLAIN, 404)

    @property
    def policy(self) -> str:
        """What the pages may load: nothing from elsewhere. The check opens other names of the home."""
        host, former = self._home.host, self._home.former_host
        others = f"https://{host} http://{host}" + (f" https://{former}" if former else "")
        return (
            f"default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; connect-src {others}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def _trust(self, request: Request) -> Answer:
        if self._home.rotates:
            self._roll.note(request.device.name, request.address, trusts=False)
        html = page.trust(self._home, request.device, request.chosen, self._roll.entries(), self._roll.since)
        return Answer(html.encode(), _HTML)

    def _trusted(self, _: Request) -> Answer:
        return Answer(page.trusted(self._home).encode(), _HTML)

    def _reached(self, request: Request) -> Answer:
        if self._home.rotates and request.secure:
            self._roll.note(request.device.name, request.address, trusts=True)
        return Answer(b"reached\n", _PLAIN, readable=True)


def _files(home: Home) -> dict[str, Answer]:
    """Return what is the same for every device."""
    served = {
        "/healthz": Answer(b"ok\n", _PLAIN),
        "/trust/style.css": Answer(read("style.css"), "text/css; charset=utf-8"),
        "/trust/check.js": Answer(read("check.js"), "text/javascript; charset=utf-8"),
        "/trust/home.mobileconfig": Answer(home.profile, "application/x-apple-aspen-config"),
    }
    for each in home.authorities:
        served[f"/trust/{each.file}.crt"] = Answer(each.pem, "application/x-x509-ca-cert")
        served[f"/trust/{each.file}.cer"] = Answer(each.der, "application/pkix-cert")
    return served


class _Handler(BaseHTTPRequestHandler):
    server: Welcome
    timeout = 10  # seconds

    def do_GET(self) -> None:
        """Answer a request."""
        self._send(with_content=True)

    def do_HEAD(self) -> None:
        """Answer a request without the content."""
        self._send(with_content=False)

    def _send(self, *, with_content: bool) -> None:
        answer = self.server.answer(self._request())
        self.send_response(answer.status)
        for name, value in self._headers(answer).items():
            self.send_header(name, value)
        self.end_headers()
        if with_content:
            self.wfile.write(answer.content)

    def _request(self) -> Request:
        url = urlsplit(self.path)
        chosen = parse_qs(url.query).get("device", [""])[0]
        return Request(
            url.path,
            chosen if chosen in GUIDES else "",
            device(self.headers.get("User-Agent", "")),
            self.headers.get("X-Real-Ip", self.client_address[0]),
            self.headers.get("X-Forwarded-Proto") == "https",
        )

    def _headers(self, answer: Answer) -> dict[str, str]:
        headers = {
            "Content-Type": answer.kind,
            "Content-Length": str(len(answer.content)),
            "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        if answer.kind == _HTML:
            headers["Content-Security-Policy"] = self.server.policy
        if answer.readable:
            headers["Access-Control-Allow-Origin"] = "*"
        return headers

    def version_string(self) -> str:
        """Do not name the software."""
        return ""

    def log_message(self, *_: object) -> None:
        """Do not log requests; Traefik does."""
