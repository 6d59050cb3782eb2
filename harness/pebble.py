"""Pebble, the ACME authority of Let's Encrypt for tests, and the name server that it asks."""

import contextlib
import http.server
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from harness.programs import free_port, pebble
from harness.tls import self_signed
from harness.waiting import wait_until


@dataclass(frozen=True)
class Authority:
    """A running ACME authority, for which every host name has the address 127.0.0.1.

    Attributes:
        url: The URL of its directory.
        certificate: The PEM file to trust its HTTPS server by.
        root: What signs the certificates that it issues.
        resolver: The address of the name server.
        dns_provider: The URL at which the name server's TXT records are changed, as lego's `httpreq` does it.
        log: The file with its output.
    """

    url: str
    certificate: Path
    root: str
    resolver: str
    dns_provider: str
    log: Path

    def trust(self) -> ssl.SSLContext:
        """Return a client's context that trusts only the certificates of this authority."""
        return ssl.create_default_context(cadata=self.root)


@contextmanager
def running(directory: Path, http_port: int, https_port: int) -> Iterator[Authority]:
    """Run Pebble and its name server on loopback until the block ends.

    Args:
        directory: For all files, empty or missing.
        http_port: Where it expects port 80 of every host.
        https_port: Where it expects port 443 of every host.
    """
    directory.mkdir(parents=True, exist_ok=True)
    api, management, dns, records = (f"127.0.0.1:{free_port()}" for _ in range(4))
    certificate = self_signed(directory, "localhost")
    settings = {
        "listenAddress": api,
        "managementListenAddress": management,
        "certificate": str(certificate),
        "privateKey": str(certificate),
        "httpPort": http_port,
        "tlsPort": https_port,
        "retryAfter": {"authz": 1, "order": 1},
    }
    (directory / "pebble.json").write_text(json.dumps({"pebble": settings}))
    programs = pebble()
    name_server = (
        *(programs / "pebble-challtestsrv", "-dnsserver", dns, "-defaultIPv6", "", "-management", records),
        *("-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""),
    )
    authority = (programs / "pebble", "-config", directory / "pebble.json", "-dnsserver", dns)
    with ExitStack() as stack:
        stack.enter_context(_process(directory / "dns.log", name_server))
        stack.enter_context(_process(directory / "pebble.log", authority))
        root = _download(f"https://{management}/roots/0", certificate, directory / "pebble.log")
        _download(f"https://{api}/dir", certificate, directory / "pebble.log")
        provider = stack.enter_context(_dns_provider(f"http://{records}"))
        yield Authority(f"https://{api}/dir", certificate, root, dns, provider, directory / "pebble.log")


@contextmanager
def _process(log: Path, command: Sequence[str | Path]) -> Iterator[None]:
    # By default, Pebble waits before it validates, and rejects some valid requests.
    environment = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    with (
        log.open("w") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment) as process,
    ):
        try:
            yield
        finally:
            process.kill()


def _download(url: str, certificate: Path, log: Path) -> str:
    texts: list[str] = []

    def is_served() -> bool:
        with contextlib.suppress(requests.ConnectionError):
            texts.append(requests.get(url, verify=str(certificate), timeout=30).text)
        return bool(texts)

    wait_until(is_served, log.read_text)
    return texts[0]


@contextmanager
def _dns_provider(records: str) -> Iterator[str]:
    class Provider(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            command = {"/present": "set-txt", "/cleanup": "clear-txt"}[self.path]
            record = {"host": wanted["fqdn"], "value": wanted["value"]}
            self.send_response(requests.post(f"{records}/{command}", json=record, timeout=5).status_code)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
