"""The module host_probe."""

from __future__ import annotations

DOCUMENTATION = """
module: host_probe
short_description: Reads the facts of a host that are relevant before an installation
description:
  - Reads everything that the role P(homeserver.stack.preflight#role) checks in one call. Changes nothing.
  - If a host cannot be reached, or has no Python or no root access, the task does not fail but reports this.
options:
  ports:
    type: list
    elements: int
    default: []
    description: The TCP ports to check.
  directories:
    type: list
    elements: str
    default: []
    description: Directories that must exist.
  channel:
    type: str
    default: ""
    description: A channel of the microk8s snap to look up in the store, unless the host already follows it.
author: The homeserver.stack maintainers (!UNKNOWN)
extends_documentation_fragment: homeserver.stack.read_only
"""

EXAMPLES = """
- homeserver.stack.host_probe:
    ports: [80, 443]
  register: probe
"""

RETURN = """
unfit:
  description: The problem (C(wrong)) with a host that could not be probed, and the C(fix). Empty otherwise.
  type: dict
  returned: always
host:
  description: The facts.
  type: dict
  returned: if the host could be probed
"""

import json
import os
import platform
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils.nodes import membership, snapd
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import host_facts

_MICROK8S = "/snap/bin/microk8s"
_FIREWALL = Path("/etc/homeserver-firewall.nft")
_BACKUP = Path("/etc/homeserver/backup.json")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "ports": {"type": "list", "elements": "int", "default": []},
            "directories": {"type": "list", "elements": "str", "default": []},
            "channel": {"default": ""},
        },
        supports_check_mode=True,
    )
    if os.geteuid():
        module.fail_json("become is off")
    missing = [each for each in module.params["directories"] if not Path(each).is_dir()]
    host = _host(module.params["ports"], module.params["channel"])
    module.exit_json(unfit={}, host={**host, "missing_directories": missing})


def _host(ports: list[int], channel: str) -> dict[str, Any]:
    routes = Path("/proc/net/route").read_text()
    snapd_version = snapd.version()
    snaps = snapd.snaps() if snapd_version else {}
    microk8s = snaps.get("microk8s")
    listed = _listed_addons() if microk8s else None
    look_up = channel and snapd_version and not (microk8s and microk8s.channel == channel)
    return {
        "os": host_facts.os_release(Path("/etc/os-release").read_text()),
        "machine": platform.machine(),
        "memory_mib": host_facts.memory_mib(),
        "disk_free_gib": host_facts.disk_free_gib(Path("/var/snap")),
        "cgroups": host_facts.cgroups(),
        "hostname": socket.gethostname(),
        "interface": host_facts.default_interface(routes),
        "gateway": host_facts.default_gateway(routes),
        "addresses": host_facts.ip_addresses(),
        "taken_ports": host_facts.taken_ports(ports),
        "idle_nftables": host_facts.has_idle_nftables(),
        "wireguard": host_facts.has_wireguard(),
        "suspends": host_facts.suspends(),
        "sudo": shutil.which("sudo") is not None,
        "snapd": snapd_version,
        "microk8s": microk8s._asdict() if microk8s else None,
        "member": membership.membership(),
        "cluster": membership.cluster(),
        "firewall": _FIREWALL.read_text() if _FIREWALL.exists() else "",
        "saves_to": _repositories(),
        "channels": _channels() if look_up else None,
        # Last, because this runs in the background during the other checks.
        "addons": _enabled_addons(listed) if listed else [],
    }


def _repositories() -> list[str]:
    """Return the repositories that the host already uses for backups."""
    try:
        known = json.loads(_BACKUP.read_text())["repositories"]
        return [each.get("parent", each["location"]) for each in known]
    except (OSError, ValueError, KeyError):
        return []


def _listed_addons() -> subprocess.Popen[str]:
    """Start to list the addons, which takes a second."""
    return subprocess.Popen(
        [_MICROK8S, "status", "--format", "short"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _enabled_addons(listed: subprocess.Popen[str]) -> list[str]:
    """Return the enabled addons; none while MicroK8s is stopped or broken, since it cannot list them."""
    lines = (line.partition(": ") for line in listed.communicate()[0].splitlines())
    return [name.rpartition("/")[2] for name, _, state in lines if state == "enabled"]


def _channels() -> list[str] | str:
    """Return the store's channels, or why they are unknown."""
    try:
        return snapd.store_channels("microk8s")
    except snapd.SnapdError as error:
        return str(error)


if __name__ == "__main__":
    main()
