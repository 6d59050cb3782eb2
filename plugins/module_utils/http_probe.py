"""Ask a web server at a known address by whatever name, as a client would once DNS has that name."""

from __future__ import annotations

import http.client
import socket
import ssl
from urllib.parse import urlsplit


def status(url: str, address: str, ca_file: str = "", timeout: float = 10) -> int:
    """Give the status code of the answer to a GET; redirects are not followed.

    Args:
        url: an https URL, whose host is named to the server and in its certificate.
        address: where to connect to, at port 443.
        ca_file: the authority that signs the certificate; empty trusts those of this machine.
        timeout: how many seconds the answer may take.

    Raises:
        OSError: there is no connection, the certificate is not valid for the name, or no answer in time.
        http.client.HTTPException: the answer is not HTTP.
    """
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=ca_file or None)
    connection = _Connection(parts.netloc, address, context, timeout)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status
    finally:
        connection.close()


class _Connection(http.client.HTTPSConnection):
    """Connects to an address of our choice instead of the one DNS has."""

    def __init__(self, host: str, address: str, context: ssl.SSLContext, timeout: float) -> None:
        super().__init__(host, timeout=timeout, context=context)
        self._address = address
        self._tls = context

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), self.timeout)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
