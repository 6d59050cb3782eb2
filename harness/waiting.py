"""Waiting for what programs on this machine do."""

import socket
import subprocess
import time
from collections.abc import Callable

PATIENCE = 300.0  # seconds; a machine that also runs a home leaves little time for tests


def wait_until(
    condition: Callable[[], object],
    seen: Callable[[], object] = lambda: "",
    pause: float = 0.1,
    seconds: float = PATIENCE,
) -> None:
    """Wait until a condition is true, for some seconds, with pauses of some.

    Raises:
        TimeoutError: It did not become true; with what was seen last.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so after {seconds:g} s: {seen()}")
        time.sleep(pause)


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Callable[[], str]) -> None:
    """Wait until a program accepts connections at a port; fail with its log if it does not, or ends."""
    wait_until(lambda: listens(port) or process.poll() is not None, log)
    assert process.poll() is None, log()


def listens(port: int) -> bool:
    """Whether a program on this machine accepts connections at a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
