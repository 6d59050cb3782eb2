"""How machines come, are found again, and go."""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from lab import inventory
from lab.build import Report
from lab.host import LabError, require_root, run
from lab.machine import (
    Backend,
    Machine,
    Supplies,
    check_name,
    lab_directory,
    load,
    machines,
    save,
)
from lab.network import free_address
from lab.nspawn import Nspawn
from lab.qemu import Qemu

BACKENDS: Mapping[str, Backend] = {"nspawn": Nspawn(), "qemu": Qemu()}


def up(name: str, backend: str | None, report: Report) -> Machine:
    """Create the machine, unless it runs already, and wait until it can be logged in to.

    Args:
        name: The machine's name.
        backend: What to make it with, or None for whatever it is made with, nspawn if it is new.
        report: Is told what is being done, a line at a time.

    Raises:
        LabError: Bad name, no root, another backend, or something failed on the way.
    """
    check_name(name)
    require_root()
    kind = _kind(name, backend)
    supplies = BACKENDS[kind].prepare(report)
    with _alone():
        machine = running(name)
        if machine is None:
            started = time.monotonic()
            machine = _create(name, kind, supplies)
            report(f"machine {name} created in {time.monotonic() - started:.1f} s")
        inventory.write(machine, supplies.variables)
    waited = _wait_until_ready(machine)
    report(f"machine {name} answers at {machine.address} after {waited:.1f} s")
    return machine


def down(name: str) -> None:
    """Remove the machine and all that it, or an attempt to make it, left on this host.

    Raises:
        LabError: Bad name, no root, or something would not go.
    """
    check_name(name)
    require_root()
    with _alone():
        _clear(name)
        with suppress(OSError):  # other machines live there
            lab_directory().rmdir()


def running(name: str) -> Machine | None:
    """The machine of this name, if it is booting or up."""
    machine = load(name)
    return machine if machine and is_running(machine) else None


def is_running(machine: Machine) -> bool:
    """Whether the machine is booting or up."""
    return BACKENDS[machine.backend].is_running(machine)


def _kind(name: str, wanted: str | None) -> str:
    existing = load(name)
    if existing and wanted and wanted != existing.backend:
        raise LabError(
            f"{name} is a machine of {existing.backend}: remove it with `python -m lab down --name {name}`, "
            "or give the new one another name"
        )
    return wanted or (existing.backend if existing else "nspawn")


def _create(name: str, kind: str, supplies: Supplies) -> Machine:
    _clear(name)
    backend = BACKENDS[kind]
    address = free_address(backend.subnet, (machine.address for machine in machines()))
    machine = Machine(name, kind, address, backend.ssh_port)
    save(machine)
    machine.make_keys()
    backend.create(machine, supplies.system)
    return machine


def _clear(name: str) -> None:
    for backend in BACKENDS.values():
        backend.clear(name)
    run("rm", "-rf", "--one-file-system", str(lab_directory() / name))


@contextmanager
def _alone() -> Iterator[None]:
    """Keep others from changing machines meanwhile.

    What is locked is the directory of all machines, so that no lock file remains. It may go and come back
    while this waits for it: then the wait was for the wrong one.
    """
    directory = lab_directory()
    while True:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is(directory, lock):
                yield
                return
        finally:
            os.close(lock)


def _is(directory: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(directory.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _wait_until_ready(machine: Machine) -> float:
    """Wait until root can log in and all is there; return how many seconds it took."""
    backend = BACKENDS[machine.backend]
    started = time.monotonic()
    login = machine.ssh("-o", "ConnectTimeout=2", backend.ready)
    while (attempt := subprocess.run(login, capture_output=True, text=True, check=False)).returncode:
        waited = time.monotonic() - started
        problem = (
            "has stopped"
            if not backend.is_running(machine)
            else f"is not ready after {waited:.0f} s ({attempt.stderr.strip()})"
            if waited > backend.boot_seconds
            else None
        )
        if problem:
            raise LabError(
                f"machine {machine.name} {problem}; the end of {machine.console}:\n"
                f"{machine.last_console_lines()}\n"
                f"remove it with `python -m lab down --name {machine.name}`"
            )
        time.sleep(0.2)
    return time.monotonic() - started
