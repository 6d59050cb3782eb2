"""Translates the limits and probes of a service."""

from __future__ import annotations

import re
from typing import Any

from .errors import Remarks
from .project import Service
from .syntax import mebibytes, seconds

Entry = dict[str, Any]
_SLOW_START = 300  # seconds
_LONGEST_START = 86400  # seconds
_GRACE = 30  # seconds that an app has to stop by default
_LONGEST_GRACE = 3600  # seconds
_MOST_REPLICAS = 100
_MEMORY = 96  # MiB that an app asks for by default
_MOST_MEMORY = 1048576  # MiB


def limits(key: str, service: Service, remarks: Remarks) -> Entry:
    """Return the keys of an entry about memory, processor, number and time to stop."""
    found = _resources(key, service, remarks)
    if shared := _size(key, "shm_size", service.get("shm_size", ""), remarks):
        found["shared_memory_mib"] = shared
    if (grace := seconds(service.get("stop_grace_period", ""))) > _GRACE:
        found["stop_seconds"] = min(grace, _LONGEST_GRACE)
    return found | _replicas(key, service, remarks)


def _replicas(key: str, service: Service, remarks: Remarks) -> Entry:
    wanted = service.get("deploy", {}).get("replicas", service.get("scale", 1))
    if service.get("deploy", {}).get("mode", "replicated") not in ("replicated", "global"):
        remarks.refuse(key, "deploy", "a job ends -> run its command once by hand")
    if wanted > 1 and service.get("volumes"):
        remarks.change(key, "deploy", f"one container runs, not {wanted}, because it has volumes")
        wanted = 1
    # As with Docker, there is one, also of an app without volumes.
    return {"replicas": max(0, min(wanted, _MOST_REPLICAS))}


def _resources(key: str, service: Service, remarks: Remarks) -> Entry:
    given = service.get("deploy", {}).get("resources", {})
    most, least = given.get("limits", {}), given.get("reservations", {})
    memory = _size(key, "mem_limit", most.get("memory") or service.get("mem_limit", ""), remarks)
    asked = _size(key, "mem_reservation", least.get("memory") or service.get("mem_reservation", ""), remarks)
    asked = asked or _MEMORY
    found: Entry = {"requests": {"cpu": "50m", "memory": f"{min(asked, memory or asked)}Mi"}}
    # Without a limit in the file there is none, as with Docker.
    upper = {"memory": f"{memory}Mi"} if memory else {}
    cores = most.get("cpus") or service.get("cpus", "")
    if re.fullmatch(r"\d{1,4}(\.\d+)?", cores) and round(float(cores) * 1000) >= 50:
        upper["cpu"] = f"{round(float(cores) * 1000)}m"
    return {"resources": found | ({"limits": upper} if upper else {})}


def _size(key: str, name: str, value: str, remarks: Remarks) -> int:
    """Return a size in MiB; 0 if there is none."""
    try:
        found = mebibytes(value) if value and value not in ("0", "-1") else 0
    except ValueError as error:
        remarks.refuse(key, name, str(error))
        return 0
    return min(found, _MOST_MEMORY)


def probe(service: Service, port: int) -> Entry:
    """Return the keys of an entry about its probe: its health check, or a connection to its page."""
    check = service.get("healthcheck", {})
    command = check.get("test", [])
    if check.get("disable") or not command or command[0] == "NONE":
        return {"probe": "tcp", "start_seconds": _SLOW_START} if port else {"probe": "none"}
    tries = (seconds(check.get("interval", "")) or 30) * max(1, check.get("retries", 3))
    started = max(_SLOW_START, seconds(check.get("start_period", "")) + tries)
    words = ["sh", "-c", *command[1:]] if command[0] == "CMD-SHELL" else command[1:]
    return {"probe": "command", "probe_command": words, "start_seconds": min(started, _LONGEST_START)}
