"""Commands on a machine of the lab."""

import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.machine import Machine

KUBECTL = "/snap/bin/microk8s kubectl"


def run(machine: Machine, command: str, stdin: str = "") -> str:
    """Run a shell command as root and return what it printed.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    done = subprocess.run(machine.ssh(command), input=stdin, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def send(machine: Machine, file: Path, to: str) -> None:
    """Copy a file there."""
    with file.open("rb") as content:
        subprocess.run(machine.ssh(f"cat > {shlex.quote(to)}"), stdin=content, check=True)


@contextmanager
def service(machine: Machine, namespace: str, name: str, port: int) -> Iterator[int]:
    """Make a Service of the cluster a port of this host's 127.0.0.1, until the block ends."""
    address = run(machine, f"{KUBECTL} -n {namespace} get service {name} -o jsonpath='{{.spec.clusterIP}}'")
    local = free_port()
    tunnel = subprocess.Popen(
        machine.ssh("-N", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{local}:{address}:{port}")
    )
    try:
        wait_for_port(local)
        yield local
    finally:
        tunnel.terminate()
        tunnel.wait()


def free_port() -> int:
    """Return a port of this host's 127.0.0.1 that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def wait_for_port(port: int, within: float = 30) -> None:
    """Wait until somebody listens to a port of this host's 127.0.0.1.

    Raises:
        OSError: Nobody did in so many seconds.
    """
    deadline = time.monotonic() + within
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
