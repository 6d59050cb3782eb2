"""Sends requests for a host name to a given address, as a client does once DNS has that name."""

from __future__ import annotations

import http.client
import socket
import ssl
from urllib.parse import urlsplit

_ASKS_FOR_A_PASSWORD = (401, 403)


def status(url: str, address: str, ca_file: str = "", timeout: float = 10) -> int:
    """Return the status code of a GET request; redirects are not followed.

    Args:
        url: an https URL; its host is sent to the server and must be in the certificate.
        address: where to connect to, at port 443.
        ca_file: the certificate authority; empty trusts the authorities of this machine.
        timeout: seconds until the answer must arrive.

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


def flaw(url: str, address: str, ca_file: str = "") -> str:
    """Return the problem with the response to a GET request; an empty text if the page is healthy.

    A page that requires a password is healthy.
    """
    try:
        code = status(url, address, ca_file)
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error}"
    return "" if code < http.client.BAD_REQUEST or code in _ASKS_FOR_A_PASSWORD else f"answers {code}"


class _Connection(http.client.HTTPSConnection):
    """Connects to a given address instead of the one in DNS."""

    def __init__(self, host: str, address: str, context: ssl.SSLContext, timeout: float) -> None:
        super().__init__(host, timeout=timeout, context=context)
        self._address = address
        self._tls = context

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), self.timeout)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
