"""Remarks on the keys of a service that its entry does not have."""

from __future__ import annotations

import re
from typing import Any

from .errors import Remarks
from .project import Service

# Keys that make no difference in the cluster.
_WITHOUT_EFFECT = {
    "annotations", "attach", "cap_drop", "container_name", "cpu_shares", "depends_on", "env_file",
    "environment", "expose", "image", "init", "labels", "links", "logging", "oom_score_adj", "platform",
    "profiles", "pull_policy", "stdin_open", "tty",
}  # fmt: skip
_TRANSLATED = {
    "build", "cap_add", "command", "configs", "cpus", "deploy", "devices", "entrypoint", "gpus", "group_add",
    "healthcheck", "hostname", "mem_limit", "mem_reservation", "network_mode", "networks", "ports",
    "read_only", "restart", "scale", "secrets", "shm_size", "stop_grace_period", "sysctls", "tmpfs", "user",
    "volumes", "working_dir",
}  # fmt: skip
# Reasons why a key cannot be translated, each with another way.
_IMPOSSIBLE = {
    "cgroup_parent": "it is for containers of the server itself -> remove it",
    "credential_spec": "it is for Windows -> use another image",
    "device_cgroup_rules": "it allows devices that may come later -> name each that it needs in devices",
    "external_links": "it names containers of another project -> import both as one compose file",
    "privileged": "it would own the server -> name all that it needs, such as cap_add: [NET_ADMIN]",
    "pid": "it would see all programs of the server -> run the service outside of the cluster",
    "userns_mode": "it is for containers of the server itself -> remove it",
    "use_api_socket": "each program with Docker's socket owns the server -> leave out the service",
    "volumes_from": "volumes of other containers are not known by it -> name each of them in volumes",
}
_DROPPED = {
    "blkio_config": "the speed of disks is not limited here",
    "dns": "the cluster resolves all names -> set other servers in the router, or with microk8s_dns",
    "dns_search": "the cluster resolves all names -> write them with their domain",
    "domainname": "an app has a host name without a domain",
    "extra_hosts": "an app has no names of its own for addresses -> write the address where it uses the name",
    "ipc": "each app has its own memory -> set shm_size if it needs more than 64 MiB",
    "mac_address": "each app has a new address at each start",
    "memswap_limit": "apps do not swap -> raise mem_limit if it needs more memory",
    "pids_limit": "the limit of the server applies",
    "runtime": "the server's own runtime is used",
    "security_opt": "the usual protection of the cluster applies",
    "stop_signal": "an app is stopped by SIGTERM",
    "ulimits": "the limits of the server apply",
}


def others(key: str, service: Service, remarks: Remarks) -> None:
    """Remark on all keys of a service that are not translated elsewhere."""
    for name, why in _IMPOSSIBLE.items():
        if service.get(name):
            remarks.refuse(key, name, why)
    for name, why in _DROPPED.items():
        if service.get(name) and not _is_harmless(name, service[name]):
            remarks.change(key, name, why)
    if service.get("restart", "").partition(":")[0] in ("no", "on-failure"):
        _restart(key, service, remarks)
    known = _WITHOUT_EFFECT | _TRANSLATED | set(_IMPOSSIBLE) | set(_DROPPED)
    for name in sorted(each for each in set(service) - known if not each.startswith("x-")):
        remarks.change(key, name, "it is unknown here, and left out -> see whether the app works without it")


def taken(service: Service) -> list[str]:
    """Return the keys of a service that are translated, in its order."""
    return [key for key, value in service.items() if value and key in _TRANSLATED | _WITHOUT_EFFECT]


def _restart(key: str, service: Service, remarks: Remarks) -> None:
    """Remark on a service that may end, although others do not wait for it."""
    command = " ".join([*service.get("entrypoint", []), *service.get("command", [])])
    if service["restart"] == "no" or re.match(r"(\S*/)?(ba|da|a)?sh -c (cp|mv|mkdir|chown|chmod) ", command):
        text = "it starts again each time it ends -> remove the service if it only prepares something"
        remarks.change(key, "restart", text)


def _is_harmless(name: str, value: Any) -> bool:
    """Return whether a key asks for the usual."""
    if name == "security_opt":
        return all(each.startswith(("no-new-privileges", "label")) for each in value)
    if name == "runtime":
        return bool(value in ("runc", "nvidia"))
    return name == "ipc" and value in ("private", "shareable")
