"""Sends requests to Services through the API server, which reaches every Service."""

from __future__ import annotations

import time

from .cluster import ApiError, Cluster, UnreachableError
from .waiting import ApplicationError

_SHOWN = 500
"""How many characters of an unexpected answer are shown."""


def wait_for_answer(cluster: Cluster, service: str, path: str, contains: str, timeout: float) -> None:
    """Wait until a Service answers as expected.

    Args:
        cluster: where it is.
        service: its namespace, name and port, as in `monitoring/prometheus:9090`.
        path: the path to request.
        contains: text that the response must contain.
        timeout: seconds to wait.

    Raises:
        ApplicationError: it does not, with the last response.
    """
    namespace, _, name = service.partition("/")
    deadline = time.monotonic() + timeout
    while contains not in (answer := _answer(cluster, namespace, name, path)):
        if time.monotonic() > deadline:
            expected = f"{service} did not answer {path} with {contains!r} within {timeout} s"
            raise ApplicationError(f"{expected}, but with: {answer[:_SHOWN]}")
        time.sleep(1)


def _answer(cluster: Cluster, namespace: str, service: str, path: str) -> str:
    try:
        return cluster.ask(namespace, service, path)
    except (ApiError, UnreachableError) as error:
        return str(error)
