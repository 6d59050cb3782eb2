"""Which machines there are, and where to find what runs there."""

from collections.abc import Sequence
from typing import TypedDict
from urllib.parse import urlsplit

from lab import inventory
from lab.lifecycle import is_running
from lab.machine import Machine, load, machines

# The path is where a browser should begin.
_COMPONENTS = {"hello": "", "whoami": "", "traefik": "dashboard/"}


class MachineStatus(TypedDict):
    """A machine, running or stopped, and the command that logs in to it."""

    name: str
    backend: str
    state: str
    address: str
    ssh: str


class Status(TypedDict):
    """All machines, and of one of them the home: URLs and files are where site.yml puts them, run or not."""

    machines: list[MachineStatus]
    urls: dict[str, str]
    ca: str | None
    credentials: dict[str, str]
    kubeconfig: str | None


def of_lab(name: str) -> Status:
    """What there is to say of the lab, and of the home on the machine of this name, if there is one."""
    status = Status(
        machines=[_machine(machine) for machine in machines()],
        urls={},
        ca=None,
        credentials={},
        kubeconfig=None,
    )
    machine = load(name)
    if machine and (machine.inventory / "hosts.yml").exists():  # the last that is written
        domain = inventory.domain(machine)
        secrets = machine.directory / "secrets" / name
        status["urls"] = {name: f"https://{name}.{domain}/{path}" for name, path in _COMPONENTS.items()}
        status["ca"] = str(secrets / "ca.crt")
        status["credentials"] = {file.stem: str(file) for file in sorted(secrets.glob("*.password"))}
        status["kubeconfig"] = str(machine.directory / ".kube" / f"{name}.yaml")
    return status


def _machine(machine: Machine) -> MachineStatus:
    return MachineStatus(
        name=machine.name,
        backend=machine.backend,
        state="running" if is_running(machine) else "stopped",
        address=machine.address,
        ssh=machine.ssh_command(),
    )


def as_text(status: Status, name: str) -> str:
    """The same for a reader, with how to open the URLs of the home on the machine of this name."""
    if not status["machines"]:
        return "no machine; create one with `python -m lab up`"
    rows = [("MACHINE", "BACKEND", "STATE", "ADDRESS")]
    rows += [(one["name"], one["backend"], one["state"], one["address"]) for one in status["machines"]]
    parts = [_table(rows)]
    home = next((one for one in status["machines"] if one["name"] == name), None)
    if home and status["urls"]:
        parts += [_table(_files_and_urls(status)), _how_to_open(status, home["address"])]
    return "\n\n".join(parts)


def _files_and_urls(status: Status) -> list[tuple[str, ...]]:
    files = {"CA": status["ca"], "kubeconfig": status["kubeconfig"], **status["credentials"]}
    return list((status["urls"] | {what: path for what, path in files.items() if path}).items())


def _how_to_open(status: Status, address: str) -> str:
    hosts = " ".join(urlsplit(url).hostname or "" for url in status["urls"].values())
    first = next(iter(status["urls"].values()))
    return (
        f"A browser on this machine finds them with this line in /etc/hosts:\n  {address} {hosts}\n"
        f"Without it:\n  curl --cacert {status['ca']} --resolve '*:443:{address}' {first}"
    )


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
