"""A client of HTTP/2 that does not wait for answers."""

import socket
import ssl
import struct

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _SETTINGS = 1, 4
_END_STREAM_AND_HEADERS = 5


def hang_up(address: tuple[str, int], host: str, requests: int = 50) -> None:
    """Send this many GET requests at once on one connection, and close it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    get = _field(":method", "GET") + _field(":scheme", "https") + _field(":path", "/")
    get += _field(":authority", host)
    frames = [_frame(_SETTINGS, 0, 0)]
    frames += [_frame(_HEADERS, _END_STREAM_AND_HEADERS, 2 * i + 1, get) for i in range(requests)]
    with (
        socket.create_connection(address, 10) as connection,
        context.wrap_socket(connection, server_hostname=host) as secured,
    ):
        assert secured.selected_alpn_protocol() == "h2"
        secured.sendall(_PREFACE + b"".join(frames))


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    # Its length has three bytes.
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _field(name: str, value: str) -> bytes:
    # Literal, without indexing and Huffman's code.
    return b"\0" + b"".join(bytes([len(text)]) + text.encode() for text in (name, value))
