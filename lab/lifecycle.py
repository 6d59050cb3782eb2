"""Creates, finds, switches and removes machines, and homes of several machines."""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from lab import inventory, process
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
    machines_of,
    save,
    trust_option,
)
from lab.network import check_address, free_address
from lab.nspawn import Nspawn
from lab.qemu import Qemu

BACKENDS: Mapping[str, Backend] = {"nspawn": Nspawn(), "qemu": Qemu()}


def up(name: str, backend: str | None, report: Report, nodes: int = 1) -> Machine:
    """Create a home's machines, unless they run already, and wait until they accept logins.

    Args:
        name: The home's name, and that of its first machine; the others are NAME-2, NAME-3 and so on.
        backend: The backend to create them with; None for that of an existing machine, or nspawn.
        report: Receives the progress, one line at a time.
        nodes: How many machines there must be. Others that the home has remain as they are.

    Returns:
        The first machine.

    Raises:
        LabError: A name is invalid or taken, the user is not root, the backend differs, or a step failed.
    """
    names = [name, *(f"{name}-{number}" for number in range(2, nodes + 1))]
    for one in names:
        check_name(one)
    require_root()
    kind = _kind(name, backend)
    if nodes > 1 and not BACKENDS[kind].connects:
        raise LabError(f"machines of {kind} do not reach each other: a home of several takes another backend")
    supplies = BACKENDS[kind].prepare(report)
    with exclusive_lock():
        for one in names:
            _check_home(one, name)
        home = [running(one) or _create(one, name, kind, supplies, report) for one in names]
        inventory.write(machines_of(name), supplies.variables)
    for machine in home:
        waited = _wait_until_ready(machine)
        report(f"machine {machine.name} answers at {machine.address} after {waited:.1f} s")
    return home[0]


def down(name: str) -> None:
    """Remove a machine, or all machines of the home of this name.

    Nothing remains on this host of what they, or an attempt to create them, left there.

    Raises:
        LabError: The name is invalid, the user is not root, or something could not be removed.
    """
    check_name(name)
    require_root()
    with exclusive_lock():
        machine = load(name)
        for one in [*_workers(name), name]:  # only the first machine's name leads to the others
            _clear(one)
        if machine and machine.founder and machine.inventory.exists():
            inventory.write_hosts(machines_of(machine.founder))
        with suppress(OSError):  # other machines are in there
            lab_directory().rmdir()


def _workers(home: str) -> set[str]:
    """Return the names of a home's other machines, with those whose creation was interrupted at its start."""
    recorded = {machine.name for machine in machines_of(home)}
    unrecorded = {path.name for path in lab_directory().glob(f"{home}-[2-9]") if not load(path.name)}
    return (recorded | unrecorded) - {home}


def cut(name: str) -> None:
    """Switch the machine's power off: all that runs in it is killed, and its disk remains.

    Raises:
        LabError: There is no such machine, the user is not root, or something could not be removed.
    """
    require_root()
    with _machine(name) as machine:
        BACKENDS[machine.backend].clear(name)


def start(name: str, report: Report) -> None:
    """Switch the machine on, unless it runs already, and wait until it accepts logins.

    Raises:
        LabError: There is no such machine, the user is not root, or a step failed.
    """
    require_root()
    with _machine(name) as machine:
        if not is_running(machine):
            BACKENDS[machine.backend].clear(name)
            BACKENDS[machine.backend].start(machine)
    waited = _wait_until_ready(machine)
    report(f"machine {name} answers at {machine.address} after {waited:.1f} s")


def move(name: str, address: str | None, report: Report) -> None:
    """Give the machine another address, also in its record and in its home's inventory.

    Args:
        name: The machine's name.
        address: The new address; None for the lowest that is free.
        report: Receives the progress, one line at a time.

    Raises:
        LabError: There is no such machine or address, the user is not root, or a step failed.
    """
    require_root()
    with _machine(name) as earlier:
        backend = BACKENDS[earlier.backend]
        taken = [machine.address for machine in machines() if machine.name != name]
        if address:
            check_address(address, backend.subnet, taken)
        else:
            address = free_address(backend.subnet, [*taken, earlier.address])
        machine = replace(earlier, address=address)
        backend.move(machine)
        save(machine)
        machine.write_known_hosts()
        if machine.inventory.exists():
            inventory.write_hosts(machines_of(machine.home))
    if is_running(machine):
        _wait_until_ready(machine)
    report(f"machine {name} has moved from {earlier.address} to {machine.address}")


@contextmanager
def _machine(name: str) -> Iterator[Machine]:
    """Prevent others from changing machines while this one is."""
    existing(name)  # before the lock, which creates the directory of all machines
    with exclusive_lock():
        yield existing(name)


def existing(name: str) -> Machine:
    """Return the machine of this name.

    Raises:
        LabError: There is none.
    """
    check_name(name)
    machine = load(name)
    if machine is None:
        raise LabError(f"no machine {name}: create it with `python -m lab up --name {name}`")
    return machine


def running(name: str) -> Machine | None:
    """Return the machine of this name, if it is booting or running."""
    machine = load(name)
    return machine if machine and is_running(machine) else None


def is_running(machine: Machine) -> bool:
    """Return whether the machine is booting or running."""
    return BACKENDS[machine.backend].is_running(machine)


def _kind(name: str, wanted: str | None) -> str:
    existing = load(name)
    if existing and wanted and wanted != existing.backend:
        raise LabError(
            f"{name} is a machine of {existing.backend}: remove it with `python -m lab down --name {name}`, "
            "or give the new one another name"
        )
    return wanted or (existing.backend if existing else "nspawn")


def _check_home(name: str, home: str) -> None:
    existing = load(name)
    if existing and existing.home != home:
        raise LabError(
            f"{name} is a machine of the home {existing.home}: "
            f"remove it with `python -m lab down --name {name}`, or use another name"
        )


def _create(name: str, home: str, kind: str, supplies: Supplies, report: Report) -> Machine:
    started = time.monotonic()
    _clear(name)
    backend = BACKENDS[kind]
    address = free_address(backend.subnet, (machine.address for machine in machines()))
    memory_mib, disk_gib = (int(os.environ.get(f"HOMESERVER_LAB_{what}", "0")) for what in ("MEMORY", "DISK"))
    founder = None if name == home else home
    machine = Machine(name, kind, address, backend.ssh_port, founder, memory_mib, disk_gib)
    save(machine)
    machine.make_keys()
    backend.create(machine, supplies.system)
    backend.start(machine)
    report(f"machine {name} created in {time.monotonic() - started:.1f} s")
    return machine


def _clear(name: str) -> None:
    for backend in BACKENDS.values():
        backend.clear(name)
    # Left by a killed `up`, or by Ansible. Another machine may get the address next.
    process.end(lambda one: trust_option(name) in one.argv)
    run("rm", "-rf", "--one-file-system", str(lab_directory() / name))


@contextmanager
def exclusive_lock() -> Iterator[None]:
    """Prevent other processes from changing machines at the same time.

    The lock is on the directory of all machines, so that no lock file remains. The directory may be removed
    and created again while this waits; then the wait was for the wrong directory, and is repeated.
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
    """Wait until root can log in and the boot is complete; return the seconds that took."""
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
