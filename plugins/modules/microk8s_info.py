"""The module microk8s_info."""

from __future__ import annotations

import grp
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils import snapd

DOCUMENTATION = """
module: microk8s_info
short_description: Tell how far the installation of MicroK8s on a host has come
description:
  - Waits until snapd has finished what an earlier, perhaps interrupted, run began. Changes nothing.
options:
  sysctl:
    type: list
    elements: str
    default: []
    description: The settings of the kernel to read.
  timeout:
    type: int
    default: 600
    description: How many seconds snapd may take to finish.
author: The homeserver.stack maintainers
extends_documentation_fragment: homeserver.stack.read_only
"""

EXAMPLES = """
- homeserver.stack.microk8s_info:
    sysctl: [vm.max_map_count]
  register: info
"""

RETURN = """
snapd:
  description: The version of snapd, or an empty text where there is none.
  type: str
  returned: always
snaps:
  description: Of every snap, its C(version), C(revision), C(channel), and whether it is C(held).
  type: dict
  returned: always
stopped:
  description: Whether C(microk8s stop) was the last word.
  type: bool
  returned: always
written:
  description: The launch configuration in C(/etc/microk8s.yaml), as text.
  type: str
  returned: always
applied:
  description: The launch configuration that was applied last, as text.
  type: str
  returned: always
members:
  description: The logins in the group microk8s.
  type: list
  elements: str
  returned: always
sysctl:
  description: The settings of the kernel by name. One it does not know is missing.
  type: dict
  returned: always
"""

_OWNERS = Path("/etc/microk8s.yaml")
_LAUNCHER = Path("/var/snap/microk8s/common/etc/launcher")
_STOPPED = Path("/var/snap/microk8s/current/var/lock/stopped.lock")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "sysctl": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**_info(module.params["sysctl"], module.params["timeout"]))
    except snapd.SnapdError as error:
        module.fail_json(msg=f"{error} -> on the host: snap changes, systemctl status snapd")


def _info(settings: list[str], timeout: int) -> dict[str, Any]:
    version = snapd.version()
    if version:
        snapd.wait_for_snaps(timeout)
    snaps = snapd.snaps() if version else {}
    return {
        "snapd": version,
        "snaps": {name: snap._asdict() for name, snap in snaps.items()},
        "stopped": _STOPPED.exists(),
        "written": _OWNERS.read_text() if _OWNERS.exists() else "",
        "applied": _applied(),
        "members": _members(),
        "sysctl": dict(_sysctl(name) for name in settings if _sysctl_file(name).exists()),
    }


def _applied() -> str:
    """Our own configuration, or before the first change of it the one of the installation.

    One that is still pending counts: parts of it may be in force already.
    """
    ours = [text for name in ("homeserver", "homeserver-addons") for text in _configuration(name)]
    return "\n---\n".join(ours or _configuration("install"))


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
