"""Commands on a lab machine."""

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.programs import free_port
from harness.waiting import wait_for_port
from lab.machine import Machine

KUBECTL = "/snap/bin/microk8s kubectl"


def run(machine: Machine, command: str, stdin: str = "") -> str:
    """Run a shell command as root and return its output.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    done = subprocess.run(machine.ssh(command), input=stdin, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def send(machine: Machine, file: Path, to: str) -> None:
    """Copy a file to the machine."""
    with file.open("rb") as content:
        subprocess.run(machine.ssh(f"cat > {shlex.quote(to)}"), stdin=content, check=True)


@contextmanager
def service(machine: Machine, namespace: str, name: str, port: int) -> Iterator[int]:
    """Forward a port of 127.0.0.1 on this host to a Service of the cluster, until the block ends."""
    address = run(machine, f"{KUBECTL} -n {namespace} get service {name} -o jsonpath='{{.spec.clusterIP}}'")
    local = free_port()
    tunnel = subprocess.Popen(
        machine.ssh("-N", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{local}:{address}:{port}")
    )
    try:
        wait_for_port(local, tunnel, lambda: f"ssh gives no port that leads to {namespace}/{name}")
        yield local
    finally:
        tunnel.terminate()
        tunnel.wait()
