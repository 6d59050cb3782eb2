"""The machines, and the addresses of their services."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlsplit

from lab.lifecycle import is_running
from lab.machine import Machine, load, machines
from plugins.module_utils import http_probe, summary

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
_KINDS = ",".join([*map(str.lower, _WORKLOADS), "service", "ingressroutes.traefik.io"])
_OBJECTS = f"/snap/bin/microk8s kubectl get {_KINDS} -A -l app.kubernetes.io/managed-by=homeserver -o json"


class MachineStatus(TypedDict):
    """A machine, running or stopped, and the command to log in."""

    name: str
    home: str
    backend: str
    state: str
    address: str
    ssh: str


class Page(TypedDict):
    """A URL that answers, and what opens it; user and file are empty where it asks for no password."""

    name: str
    url: str
    user: str
    password_file: str


class Status(TypedDict):
    """All machines, and of one of them the home: its pages that answer, and where site.yml puts its files."""

    machines: list[MachineStatus]
    pages: list[Page]
    ca: str | None
    credentials: dict[str, str]
    kubeconfig: str | None


def of_lab(name: str) -> Status:
    """Return the state of the lab, and of the home that has the machine of this name, if it exists."""
    status = Status(
        machines=[_machine(machine) for machine in machines()],
        pages=[],
        ca=None,
        credentials={},
        kubeconfig=None,
    )
    asked = load(name)
    machine = load(asked.home) if asked else None
    if machine and (machine.inventory / "hosts.yml").exists():  # the last that is written
        secrets = machine.directory / "secrets" / machine.name
        status["ca"] = str(secrets / "ca.crt")
        status["credentials"] = {file.stem: str(file) for file in sorted(secrets.glob("*.password"))}
        status["kubeconfig"] = str(machine.directory / ".kube" / f"{machine.name}.yaml")
        if is_running(machine):
            status["pages"] = list(_pages(machine, secrets))
    return status


def _pages(machine: Machine, secrets: Path) -> Iterator[Page]:
    """Every page that answers now, in the order of the summary of site.yml."""
    objects = _objects(machine)
    workloads = [each for each in objects if each["kind"] in _WORKLOADS]
    services = [each for each in objects if each["kind"] == "Service"]
    routes = list(
        summary.find_routes([each for each in objects if each["kind"] == "IngressRoute"], services, workloads)
    )
    asked = {route.url for route in summary.served(routes, workloads)}

    def flaw(url: str) -> str:
        return http_probe.flaw(url, machine.address, str(secrets / "ca.crt")) if url in asked else "not run"

    files = sorted(map(str, secrets.glob("*.password")))
    rows = [
        *summary.workload_rows(workloads, routes, files, flaw),
        *summary.foreign_rows(routes, files, flaw),
    ]
    for row in summary.page_rows(rows):
        if row.url in asked and row.state == "healthy":
            yield Page(name=row.component, url=row.url, user=row.user, password_file=row.password_file)


def _objects(machine: Machine) -> list[dict[str, Any]]:
    """What site.yml has applied; nothing if there is no cluster, or no Traefik in it."""
    login = machine.ssh("-o", "ConnectTimeout=5", _OBJECTS)
    answer = subprocess.run(login, capture_output=True, text=True, check=False)
    found: list[dict[str, Any]] = json.loads(answer.stdout)["items"] if answer.returncode == 0 else []
    return found


def _machine(machine: Machine) -> MachineStatus:
    return MachineStatus(
        name=machine.name,
        home=machine.home,
        backend=machine.backend,
        state="running" if is_running(machine) else "stopped",
        address=machine.address,
        ssh=machine.ssh_command(),
    )


def as_text(status: Status, name: str) -> str:
    """Return the same as text, with instructions to open the URLs of the home of the machine of this name."""
    if not status["machines"]:
        return "no machine; create one with `python -m lab up`"
    rows = [("MACHINE", "HOME", "BACKEND", "STATE", "ADDRESS")]
    rows += [
        (one["name"], one["home"], one["backend"], one["state"], one["address"]) for one in status["machines"]
    ]
    parts = [_table(rows)]
    by_name = {one["name"]: one for one in status["machines"]}
    home = by_name.get(by_name[name]["home"]) if name in by_name else None
    if status["pages"]:
        parts.append(_table([("URL", "USER", "PASSWORD"), *map(_page_cells, status["pages"])]))
    if home and status["ca"]:
        parts.append(_table(_files(status)))
    if home and status["pages"]:
        parts.append(_how_to_open(status, home["address"]))
    return "\n\n".join(parts)


def _page_cells(page: Page) -> tuple[str, ...]:
    return page["url"], page["user"], page["password_file"]


def _files(status: Status) -> list[tuple[str, ...]]:
    files = {"CA": status["ca"], "kubeconfig": status["kubeconfig"], **status["credentials"]}
    return [(what, path) for what, path in files.items() if path]


def _how_to_open(status: Status, address: str) -> str:
    urls = [page["url"] for page in status["pages"]]
    hosts = " ".join(urlsplit(url).hostname or "" for url in urls)
    return (
        f"A browser on this machine finds them with this line in /etc/hosts:\n  {address} {hosts}\n"
        f"Without it:\n  curl --cacert {status['ca']} --resolve '*:443:{address}' {urls[0]}"
    )


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
