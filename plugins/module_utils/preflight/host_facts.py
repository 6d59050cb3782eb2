"""The facts of a host, read from files of the kernel. Needs only Python and root."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

_MICROK8S = re.compile(r"snap\.microk8s\.|kubepods")
_NO_RULE = re.compile(
    r"\s*(#.*|flush ruleset;?|(table|chain) [\w ]+\{|type \w+ hook \w+ priority [\w -]+;|\})?"
)
"""A line of /etc/nftables.conf without effect on any packet, as in the file that Debian ships."""
_LISTENING = "0A"
_SYSCTL = tuple(map(Path, ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")))
_NOT_OF_THE_HOST = ("lo", "cali", "vxlan.calico", "docker", "br-", "virbr", "cni")
_LOOPBACK = ("0100007F", "0" * 24 + "01000000", "0" * 16 + "FFFF00000100007F")


def os_release(text: str) -> dict[str, str]:
    """Read /etc/os-release."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {key: value.strip("\"'") for key, value in pairs}


def memory_mib() -> int:
    """Return the memory of the host in MiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def disk_free_gib(path: Path) -> float:
    """Return the free space in GiB on the file system of a path, which need not exist yet."""
    while not path.exists():
        path = path.parent
    return round(shutil.disk_usage(path).free / 2**30, 1)


def cgroups(root: Path = Path("/sys/fs/cgroup"), table: Path = Path("/proc/cgroups")) -> dict[str, Any]:
    """Return the version of control groups in use and the enabled controllers."""
    unified = root / "cgroup.controllers"
    if unified.exists():
        return {"version": 2, "controllers": unified.read_text().split()}
    rows = (line.split() for line in table.read_text().splitlines() if not line.startswith("#"))
    return {"version": 1, "controllers": [row[0] for row in rows if row[3] == "1"]}


def has_wireguard(modules: Path = Path("/sys/module"), modprobe: str = "/usr/sbin/modprobe") -> bool:
    """Return whether the kernel has WireGuard, built in or as a module that can be loaded."""
    if (modules / "wireguard").exists():
        return True
    command = [modprobe, "--dry-run", "--quiet", "wireguard"]
    return Path(modprobe).exists() and subprocess.run(command, check=False).returncode == 0


def suspends(root: Path = Path("/"), busctl: str = "/usr/bin/busctl") -> str:
    """Return what may suspend the host: its lid, a desktop, or nothing."""
    if any((root / "etc/systemd/system" / f"{name}.target").is_symlink() for name in ("sleep", "suspend")):
        return ""  # masked
    if (root / "proc/acpi/button/lid").exists():
        manager = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
        command = [busctl, "get-property", *manager, "HandleLidSwitch"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if '"ignore"' not in done.stdout:
            return "its lid"
    return "a desktop" if (root / "etc/systemd/system/display-manager.service").is_symlink() else ""


def default_interface(routes: str) -> str:
    """Return the interface of the IPv4 default route in /proc/net/route, or an empty text."""
    return _default_route(routes)[0]


def default_gateway(routes: str) -> str:
    """Return the gateway of the IPv4 default route in /proc/net/route, or an empty text."""
    # The kernel writes the address as a number in the processor's byte order.
    gateway = bytes.fromhex(_default_route(routes)[2])[::-1]
    return socket.inet_ntoa(gateway) if any(gateway) else ""


def _default_route(routes: str) -> list[str]:
    rows = [line.split() for line in routes.splitlines()[1:]]
    return next((row for row in rows if row[1] == row[7] == "00000000"), [""] * 8)


def addresses(text: str) -> dict[str, dict[str, Any]]:
    """Read `ip -json -4 address`: the interface of each address, and whether it is from DHCP."""
    return {
        entry["local"]: {"interface": link["ifname"], "dynamic": bool(entry.get("dynamic"))}
        for link in json.loads(text or "[]")
        for entry in link.get("addr_info", [])
    }


def ip_addresses() -> dict[str, dict[str, Any]]:
    """Return the IPv4 addresses of the host as `addresses` does; none if iproute2 is missing."""
    ip = shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if not ip:
        return {}
    done = subprocess.run([ip, "-json", "-4", "address"], capture_output=True, text=True, check=False)
    return addresses(done.stdout)


def has_idle_nftables(etc: Path = Path("/etc")) -> bool:
    """Return whether nftables.service is enabled but has no rules."""
    configuration = etc / "nftables.conf"
    if not (any((etc / "systemd/system").glob("*.wants/nftables.service")) and configuration.exists()):
        return False
    return all(map(_NO_RULE.fullmatch, configuration.read_text().splitlines()))


def later_settings(ours: str, places: Sequence[Path] = _SYSCTL) -> dict[str, str]:
    """Return the kernel settings from files that are applied after ours, in the order of their names.

    A file overrides files of the same name in later directories. `sysctl --system` applies sysctl.conf last.
    """
    found: dict[str, Path] = {}
    for place in places:
        for file in (place / "sysctl.d").glob("*.conf"):
            found.setdefault(file.name, file)
    later = [found[name] for name in sorted(found) if name > ours]
    last = places[0] / "sysctl.conf"
    lines = [line for file in [*later, last] if file.exists() for line in _lines(file)]
    pairs = (line.lstrip("-").split("=", 1) for line in lines if "=" in line and line[0] not in "#;")
    return {name.strip().replace("/", "."): value.strip() for name, value in pairs}


def _lines(file: Path) -> list[str]:
    return [line.strip() for line in file.read_text(errors="replace").splitlines()]


def own_addresses() -> list[str]:
    """Return the host's IPv4 addresses without loopback and pod networks, that of the default route first."""
    routes = Path("/proc/net/route").read_text()
    default = default_interface(routes)
    found = {
        address: about["interface"]
        for address, about in ip_addresses().items()
        if not about["interface"].startswith(_NOT_OF_THE_HOST)
    }
    return sorted(found, key=lambda address: found[address] != default)


def listening(tables: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the port and inode of every listening socket in files such as /proc/net/tcp."""
    for table in tables:
        for line in table.splitlines()[1:]:
            row = line.split()
            address, port = row[1].split(":")
            if row[3] == _LISTENING and address not in _LOOPBACK:
                yield int(port, 16), row[9]


def taken_ports(ports: Iterable[int], proc: Path = Path("/proc")) -> list[dict[str, Any]]:
    """Return the ports on which a program other than MicroK8s and its pods listens, with the program."""
    tables = [table.read_text() for name in ("tcp", "tcp6") if (table := proc / "net" / name).exists()]
    wanted = set(ports)
    inodes = {inode: port for port, inode in listening(tables) if port in wanted}
    # Sockets of the kernel, such as those of an NFS server, belong to no process.
    found = {port: {"process": "the kernel", "unit": "", "ours": False} for port in inodes.values()}
    if found:
        found |= {inodes[inode]: _program(process) for inode, process in _sockets(proc) if inode in inodes}
    return [{"port": port, **program} for port, program in sorted(found.items()) if not program.pop("ours")]


def _sockets(proc: Path) -> Iterator[tuple[str, Path]]:
    """Return the inode of every open socket, with the directory of a process that has it open."""
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
