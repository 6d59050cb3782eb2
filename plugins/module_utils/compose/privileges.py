"""Translates all that a service may do: its user, groups, capabilities and parameters of the kernel."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..apps import ROOT_CAPABILITIES
from .errors import Remarks
from .project import Service

Entry = dict[str, Any]
User = Callable[[str], "str | None"]
"""Returns the user that an image starts as, such as `0` or `node`, or None if its registry does not say."""
SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
"""Parameters of the kernel that each container has for itself."""
_LARGEST_USER = 2**31 - 1
_GROUPS_OF_DEVICES = {"audio", "dialout", "input", "plugdev", "render", "tty", "uucp", "video"}


def privileges(key: str, service: Service, image_user: User, remarks: Remarks, *, low_ports: bool) -> Entry:
    """Return the keys of an entry about privileges.

    Args:
        key: the name of the service.
        service: the service.
        image_user: asks for the user of an image.
        remarks: takes the differences.
        low_ports: whether it listens on a port below 1024, or may do so.
    """
    on_host = service.get("network_mode") == "host"
    entry = _user(key, service, image_user, remarks)
    if groups := _groups(key, service, entry, remarks):
        entry["groups"] = groups
    entry |= _capabilities(key, service, remarks, is_root="root" in entry, low_ports=on_host and low_ports)
    entry |= {} if on_host else _sysctls(key, service, remarks, low_ports=low_ports)
    return entry | _root_file_system(key, service, remarks)


def _user(key: str, service: Service, image_user: User, remarks: Remarks) -> Entry:
    given, image = service.get("user", ""), service.get("image", "")
    if not given and ("PUID" in service["environment"] or "linuxserver/" in image):
        return {"root": True}
    said = given or (image_user(image) if image else None)
    if said is None:
        text = "the user of its image is unknown, so it starts as root -> set user in the compose file"
        remarks.change(key, "user", text)
        return {"root": True}
    user, _, group = said.partition(":")
    if user in ("", "root") or re.fullmatch(r"0+", user):
        return {"root": True}
    if not re.fullmatch(r"\d{1,10}", user) or int(user) > _LARGEST_USER:
        remarks.change(key, "user", f"{user!r} is no number, so it starts as root -> set user to its number")
        return {"root": True}
    if group and group != user and not _is_group(group):
        text = f"its group is {user}, too, and not {group} -> allow the user {user} to read its directories"
        remarks.change(key, "user", text)
    return {"user": int(user)}


def _groups(key: str, service: Service, entry: Entry, remarks: Remarks) -> list[int]:
    """Return the groups of a service besides that of its user."""
    own = service.get("user", "").partition(":")[2] if "user" in entry else ""
    added: list[str] = service.get("group_add", [])
    for name in added:
        # Devices are given to it without their groups.
        if not _is_group(name) and not (name in _GROUPS_OF_DEVICES and service.get("devices")):
            text = f"{name} is no number above 0, and left out -> write its number if the service needs it"
            remarks.change(key, "group_add", text)
    numbers = {int(each) for each in (own, *added) if _is_group(each)}
    return sorted(numbers - {entry.get("user", 0)})


def _is_group(name: str) -> bool:
    return bool(re.fullmatch(r"\d{1,10}", name)) and 0 < int(name) <= _LARGEST_USER


def _capabilities(key: str, service: Service, remarks: Remarks, *, is_root: bool, low_ports: bool) -> Entry:
    added = {each.upper().removeprefix("CAP_") for each in service.get("cap_add", [])}
    wrong = sorted(each for each in added if not re.fullmatch(r"[A-Z][A-Z_]+", each))
    if "ALL" in added or wrong:
        named = "ALL would own the server" if "ALL" in added else f"{', '.join(wrong)} is no capability"
        remarks.refuse(key, "cap_add", f"{named} -> name each that it needs, such as NET_ADMIN")
        return {}
    if low_ports and is_root:
        added.add("NET_BIND_SERVICE")
    return {"capabilities": sorted(added | (set(ROOT_CAPABILITIES) if is_root else set()))} if added else {}


def _sysctls(key: str, service: Service, remarks: Remarks, *, low_ports: bool) -> Entry:
    given = {name: value for name, value in service.get("sysctls", {}).items() if value is not None}
    for name in sorted(set(given) - SAFE_SYSCTLS):
        text = f"{name} is not set for a single app -> set it for the server: microk8s_sysctl"
        remarks.change(key, "sysctls", text)
    found = {name: value for name, value in given.items() if name in SAFE_SYSCTLS}
    if low_ports:
        # As Docker does for each container.
        found.setdefault("net.ipv4.ip_unprivileged_port_start", "0")
    return {"sysctls": found} if found else {}


def _root_file_system(key: str, service: Service, remarks: Remarks) -> Entry:
    if not service.get("read_only"):
        return {"writable_root": True}
    short = [each.partition(":")[0] for each in service.get("tmpfs", [])]
    long = [
        each["target"]
        for each in service.get("volumes", [])
        if isinstance(each, dict) and each.get("type") == "tmpfs"
    ]
    needed = [path for path in (*short, *long) if path.rstrip("/") not in ("/tmp", "/dev/shm")]  # noqa: S108
    if needed:
        text = f"its whole file system is writable, because {', '.join(needed)} has to be"
        remarks.change(key, "read_only", text)
    return {"writable_root": bool(needed)}
