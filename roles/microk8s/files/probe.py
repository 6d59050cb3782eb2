"""Tests the network of a pod on a new node. The arguments name pods on the founder to connect to."""

import os
import socket
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial

_PATIENCE = 90
_NAME = "kubernetes.default.svc.cluster.local"
_ANY_PORT = 9


def main() -> None:
    """Wait until everything is reachable.

    Raises:
        SystemExit: something is not reachable; the text says what.
    """
    deadline = time.monotonic() + _PATIENCE
    while missed := unreached(sys.argv[1:]):
        if time.monotonic() > deadline:
            sys.exit(
                f"pods on this node do not reach {', '.join(missed)}"
                " -> is port 4789/udp open between the machines, in both directions?"
            )
        time.sleep(1)


def unreached(pods: Iterable[str]) -> list[str]:
    """Return which of a Service, DNS, and pods given as `name=address` are not reachable."""
    service = (os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"]))
    tries: dict[str, Callable[[], object]] = {
        f"the Service kubernetes ({service[0]})": partial(connect, service),
        f"the name {_NAME} in DNS": partial(socket.getaddrinfo, _NAME, service[1]),
    }
    for name, _, address in (pod.partition("=") for pod in pods):
        tries[f"the pod {name} ({address}) of the founder"] = partial(connect, (address, _ANY_PORT))
    return [what for what, attempt in tries.items() if not works(attempt)]


def works(attempt: Callable[[], object]) -> bool:
    """Return whether an attempt reaches its target. A refused connection does, too."""
    try:
        attempt()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


def connect(at: tuple[str, int]) -> None:
    """Open and close a connection."""
    socket.create_connection(at, timeout=3).close()


if __name__ == "__main__":
    main()
