"""Clients of HTTP/2 that break its rules, or do not wait for answers, and what others notice of them."""

import logging
import math
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import NamedTemporaryFile

import requests

from harness.programs import h2spec
from harness.repeatedly import repeatedly

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _SETTINGS = 1, 4
_END_STREAM_AND_HEADERS = 5


def hang_up(address: tuple[str, int], host: str, count: int = 50) -> None:
    """Send this many GET requests at once on one connection, and close it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    get = _field(":method", "GET") + _field(":scheme", "https") + _field(":path", "/")
    get += _field(":authority", host)
    frames = [_frame(_SETTINGS, 0, 0)]
    frames += [_frame(_HEADERS, _END_STREAM_AND_HEADERS, 2 * i + 1, get) for i in range(count)]
    with (
        socket.create_connection(address, 10) as connection,
        context.wrap_socket(connection, server_hostname=host) as secured,
    ):
        assert secured.selected_alpn_protocol() == "h2"
        secured.sendall(_PREFACE + b"".join(frames))


def break_rules(host: str, port: int, hosts: str = "") -> str:
    """Break each rule once, by h2spec, and return its report; `hosts` are lines for /etc/hosts."""
    command = [str(h2spec()), "--tls", "--insecure", f"--host={host}", f"--port={port}"]
    if hosts:
        with NamedTemporaryFile("w", suffix=".hosts") as file:
            file.write(hosts)
            file.flush()
            script = 'mount --bind "$0" /etc/hosts && exec "$@"'
            return _report(["unshare", "--mount", "sh", "-c", script, file.name, *command])
    return _report(command)


@contextmanager
def waits(ask: Callable[[], object]) -> Iterator[list[float]]:
    """Ask again and again until left; yield the seconds that each answer took, endless for none."""
    seconds: list[float] = []

    def measure() -> None:
        started = time.monotonic()
        try:
            ask()
        except requests.RequestException as error:
            logging.warning("no answer after %.1f s: %s", time.monotonic() - started, error)
            seconds.append(math.inf)
        else:
            seconds.append(time.monotonic() - started)

    with repeatedly(measure, pause=0.1):
        yield seconds


def _report(command: list[str]) -> str:
    # It fails: Go's server does not keep each rule.
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stdout


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    # Its length has three bytes.
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _field(name: str, value: str) -> bytes:
    # Literal, without indexing and Huffman's code.
    return b"\0" + b"".join(bytes([len(text)]) + text.encode() for text in (name, value))
