"""What a host is, read from the kernel's files. Needs nothing but Python and root."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_MICROK8S = re.compile(r"snap\.microk8s\.|kubepods")
_LISTENING = "0A"
_LOOPBACK = ("0100007F", "0" * 24 + "01000000", "0" * 16 + "FFFF00000100007F")


def os_release(text: str) -> dict[str, str]:
    """Read /etc/os-release."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {key: value.strip("\"'") for key, value in pairs}


def memory_mib() -> int:
    """Give the host's memory in MiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def disk_free_gib(path: Path) -> float:
    """Give the free space in GiB where a path is, or will be."""
    while not path.exists():
        path = path.parent
    return round(shutil.disk_usage(path).free / 2**30, 1)


def cgroups(root: Path = Path("/sys/fs/cgroup"), table: Path = Path("/proc/cgroups")) -> dict[str, Any]:
    """Give the version of the control groups in use and the controllers that are switched on."""
    unified = root / "cgroup.controllers"
    if unified.exists():
        return {"version": 2, "controllers": unified.read_text().split()}
    rows = (line.split() for line in table.read_text().splitlines() if not line.startswith("#"))
    return {"version": 1, "controllers": [row[0] for row in rows if row[3] == "1"]}


def default_interface(routes: str) -> str:
    """Give the interface of the IPv4 default route in /proc/net/route, or an empty text."""
    rows = [line.split() for line in routes.splitlines()[1:]]
    return next((row[0] for row in rows if row[1] == row[7] == "00000000"), "")


def addresses(text: str) -> dict[str, dict[str, Any]]:
    """Read `ip -json -4 address`: by address, its interface and whether it was lent by DHCP."""
    return {
        entry["local"]: {"interface": link["ifname"], "dynamic": bool(entry.get("dynamic"))}
        for link in json.loads(text or "[]")
        for entry in link.get("addr_info", [])
    }


def ip_addresses() -> dict[str, dict[str, Any]]:
    """Give the host's IPv4 addresses as `addresses` does; none where iproute2 is missing."""
    ip = shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if not ip:
        return {}
    done = subprocess.run([ip, "-json", "-4", "address"], capture_output=True, text=True, check=False)
    return addresses(done.stdout)


def listening(tables: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Give the port and inode of every socket in /proc/net/tcp and its like that others can connect to."""
    for table in tables:
        for line in table.splitlines()[1:]:
            row = line.split()
            address, port = row[1].split(":")
            if row[3] == _LISTENING and address not in _LOOPBACK:
                yield int(port, 16), row[9]


def taken_ports(ports: Iterable[int], proc: Path = Path("/proc")) -> list[dict[str, Any]]:
    """Give those of the ports that something else than MicroK8s and its pods listens on, and what that is."""
    tables = [table.read_text() for name in ("tcp", "tcp6") if (table := proc / "net" / name).exists()]
    wanted = set(ports)
    inodes = {inode: port for port, inode in listening(tables) if port in wanted}
    # The kernel's own sockets, an NFS server's for one, belong to no process.
    found = {port: {"process": "the kernel", "unit": "", "ours": False} for port in inodes.values()}
    if found:
        found |= {inodes[inode]: _program(process) for inode, process in _sockets(proc) if inode in inodes}
    return [{"port": port, **program} for port, program in sorted(found.items()) if not program.pop("ours")]


def _sockets(proc: Path) -> Iterator[tuple[str, Path]]:
    """Every open socket's inode with the directory of a process that has it open."""
    for descriptor in proc.glob("[0-9]*/fd/*"):
        try:
            target = str(descriptor.readlink())
        except OSError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            yield target[len("socket:[") : -1], descriptor.parent.parent


def _program(process: Path) -> dict[str, Any]:
    groups = (process / "cgroup").read_text()
    unit = re.search(r"([^/\n]+\.service)", groups)
    return {
        "process": (process / "comm").read_text().strip(),
        "unit": unit[1] if unit else "",
        "ours": bool(_MICROK8S.search(groups)),
    }
