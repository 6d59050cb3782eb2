"""Requests to the cluster agents of other nodes."""

import http.client
import json
import ssl
from typing import Any

JOIN_PATH = "/cluster/api/v2.0/join"
SIGN_PATH = "/cluster/api/v1.0/sign-cert"
CONFIGURE_PATH = "/cluster/api/v1.0/configure"
TIMEOUT = 600


def connection(address: str, port: int) -> http.client.HTTPSConnection:
    """Return a connection to an agent, not opened yet.

    Like MicroK8s, it verifies nobody: a worker's server.crt is from a CA of its own, and a joining node
    compares the fingerprint that it was given.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(address, port, timeout=TIMEOUT, context=context)


def post(opened: http.client.HTTPSConnection, path: str, content: dict[str, Any]) -> tuple[int, Any]:
    """Send a JSON object; return the answer's status and content, which is empty if it is no JSON."""
    opened.request("POST", path, json.dumps(content), {"Content-Type": "application/json"})
    answer = opened.getresponse()
    body = answer.read()
    try:
        return answer.status, json.loads(body)
    except ValueError:
        return answer.status, {}
