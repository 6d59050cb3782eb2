"""The module microk8s_info."""

from __future__ import annotations

DOCUMENTATION = """
module: microk8s_info
short_description: Reads the state of the MicroK8s installation on a host
description:
  - Waits until snapd has finished the changes of an earlier run. Changes nothing.
options:
  address:
    type: str
    default: ""
    description: The address of the host in the inventory.
  certificate_warning_days:
    type: int
    default: 30
    description: Days before its expiry from which a certificate counts as expiring.
  patches:
    type: bool
    default: false
    description: Whether to ask the store for a newer revision.
  sysctl:
    type: list
    elements: str
    default: []
    description: The kernel settings to read.
  timeout:
    type: int
    default: 600
    description: Seconds that snapd may take to finish.
author: The homeserver.stack maintainers (!UNKNOWN)
extends_documentation_fragment: homeserver.stack.read_only
"""

EXAMPLES = """
- homeserver.stack.microk8s_info:
    sysctl: [vm.max_map_count]
  register: info
"""

RETURN = """
address:
  description:
    - The IPv4 address that the node has or should have. This is the inventory's if the host has it.
    - Otherwise the present one, or that of the default route. Empty if the host's addresses are unknown.
  type: str
  returned: always
addresses:
  description: The IPv4 addresses of the host.
  type: list
  elements: str
  returned: always
encryption:
  description:
    - The names of the C(keys) for the encryption of Secrets, the present one first.
    - Also whether a provider without encryption is configured, C(plain).
  type: dict
  returned: always
expiring:
  description: The names of the certificates that expire soon and can be renewed.
  type: list
  elements: str
  returned: always
patch:
  description:
    - The newer C(revision) in the channel of MicroK8s, and its C(version); empty if there is none.
    - When it was C(released) there, and how many C(days) ago. Whether it was C(refused).
  type: dict
  returned: always
silent_store:
  description: Why it is unknown whether the store has a newer revision, otherwise an empty text.
  type: str
  returned: always
snapd:
  description: The version of snapd, or an empty text if it is not installed.
  type: str
  returned: always
snaps:
  description: The C(version), C(revision) and C(channel) of every snap, and whether it is C(held).
  type: dict
  returned: always
stopped:
  description: Whether MicroK8s was stopped by C(microk8s stop).
  type: bool
  returned: always
sysctl_later:
  description: The kernel settings of files that are applied after C(/etc/sysctl.d/60-homeserver.conf).
  type: dict
  returned: always
sysctl_written:
  description: The kernel settings in C(/etc/sysctl.d/60-homeserver.conf), as text.
  type: str
  returned: always
volumes_mode:
  description: The mode of the directory of volumes, as in C("0700"); empty if there is none.
  type: str
  returned: always
written:
  description: The launch configuration in C(/etc/microk8s.yaml), as text.
  type: str
  returned: always
applied:
  description: The last applied launch configuration, as text.
  type: str
  returned: always
member:
  description:
    - The name of the host as a C(node), whether it is a C(worker), and whether C(joining) was interrupted.
    - Its C(addresses), the checksum of the certificate C(authority) that it trusts, and the C(servers) that a
      worker connects to.
  type: dict
  returned: always
datastore:
  description: The address on which the datastore listens for other members, empty if there is none.
  type: str
  returned: always
upgrade:
  description: The state before an upgrade that has not finished, empty if there is none.
  type: dict
  returned: always
kubelet:
  description: The C(present) arguments of the kubelet, and the C(default) ones of its snap.
  type: dict
  returned: always
members:
  description: The logins in the group microk8s.
  type: list
  elements: str
  returned: always
sysctl:
  description: The kernel settings by name, without those that the kernel does not know.
  type: dict
  returned: always
"""

import grp
import json
import re
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils.nodes import (
    certificates,
    membership,
    patches,
    secrets_encryption,
    snapd,
)
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import host_facts

_OWNERS = Path("/etc/microk8s.yaml")
_LAUNCHER = Path("/var/snap/microk8s/common/etc/launcher")
_KUBELET = Path("/var/snap/microk8s/current/args/kubelet")
_UPGRADE = Path("/var/lib/homeserver-upgrade/found.json")
_SYSCTL = Path("/etc/sysctl.d/60-homeserver.conf")
_VOLUMES = Path("/var/snap/microk8s/common/default-storage")
_STOPPED = Path("/var/snap/microk8s/current/var/lock/stopped.lock")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "address": {"default": ""},
            "certificate_warning_days": {"type": "int", "default": 30},
            "patches": {"type": "bool", "default": False},
            "sysctl": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    try:
        addresses = host_facts.own_addresses()
        version = snapd.version()
        snaps = _settled_snaps(module.params["timeout"]) if version else {}
        module.exit_json(
            **_info(module.params["sysctl"]),
            **_patch(snaps, wanted=module.params["patches"]),
            snapd=version,
            snaps={name: snap._asdict() for name, snap in snaps.items()},
            address=_address(module.params["address"], addresses),
            addresses=addresses,
            expiring=certificates.expiring(module.params["certificate_warning_days"]),
            member=membership.membership(),
            sysctl_later=host_facts.later_settings(_SYSCTL.name),
            sysctl_written=_read(_SYSCTL),
            volumes_mode=_mode(_VOLUMES),
            encryption={
                "keys": [key.name for key in secrets_encryption.read()],
                "plain": secrets_encryption.stores_plain(),
            },
            datastore=membership.datastore_address(),
            kubelet=membership.kubelet_arguments(),
        )
    except snapd.SnapdError as error:
        module.fail_json(msg=f"{error} -> on the host: snap changes, systemctl status snapd")


def _settled_snaps(timeout: int) -> dict[str, snapd.Snap]:
    snapd.wait_for_snaps(timeout)
    return snapd.snaps()


def _info(settings: list[str]) -> dict[str, Any]:
    return {
        "stopped": _STOPPED.exists(),
        "upgrade": json.loads(_read(_UPGRADE) or "{}"),
        "written": _read(_OWNERS),
        "applied": _applied(),
        "members": _members(),
        "sysctl": dict(_sysctl(name) for name in settings if _sysctl_file(name).exists()),
    }


def _patch(snaps: dict[str, snapd.Snap], *, wanted: bool) -> dict[str, Any]:
    try:
        patch = patches.waiting(snaps.get(patches.SNAP)) if wanted else None
    except snapd.SnapdError as error:
        return {"patch": {}, "silent_store": str(error)}
    return {"patch": {**patch._asdict(), "days": patch.days} if patch else {}, "silent_store": ""}


def _address(wanted: str, addresses: list[str]) -> str:
    """Return the node's address; the first of the host's is that of the default route."""
    present = re.findall(r"^--node-ip[= ](\S+)$", _read(_KUBELET), re.MULTILINE)
    return next((address for address in [wanted, *present, *addresses] if address in addresses), "")


def _applied() -> str:
    """Return our own launch configuration, or the installation's if there is none yet.

    A pending one counts, because parts of it may already be applied.
    """
    ours = [text for name in ("homeserver", "homeserver_addons") for text in _configuration(name)]
    return "\n---\n".join(ours or _configuration("install"))


def _read(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def _mode(directory: Path) -> str:
    return f"{directory.stat().st_mode & 0o7777:04o}" if directory.is_dir() else ""


def _configuration(name: str) -> list[str]:
    files = [_LAUNCHER / f"{name}.yaml", _LAUNCHER / f"{name}.yaml.applied"]
    return [file.read_text() for file in files if file.exists()][:1]


def _members() -> list[str]:
    try:
        return grp.getgrnam("microk8s").gr_mem
    except KeyError:
        return []


def _sysctl(name: str) -> tuple[str, str]:
    return name, _sysctl_file(name).read_text().strip()


def _sysctl_file(name: str) -> Path:
    return Path("/proc/sys", *name.split("."))


if __name__ == "__main__":
    main()
