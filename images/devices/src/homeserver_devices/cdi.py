"""Tells containerd by the Container Device Interface which device nodes a resource has.

With it, a pod of any user may use the nodes that it is given: the container gets a node of its own, whose
mode allows that. The other way of the device plugin API keeps the machine's group, whose number differs
between machines.
See https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from homeserver_devices.devices import Node

DOMAIN = "homeserver.stack"
KIND = f"{DOMAIN}/device"
_MODE = 0o666


def write(directory: Path, found: Mapping[str, Sequence[Node]]) -> None:
    """Write the file for containerd, or remove it if there is no device. An unchanged file is not written.

    Args:
        directory: One of the directories that containerd reads.
        found: The nodes of each resource.
    """
    file = directory / f"{DOMAIN}-device.json"
    devices = [_device(name, nodes) for name, nodes in sorted(found.items()) if nodes]
    if not devices:
        file.unlink(missing_ok=True)
        return
    text = json.dumps({"cdiVersion": "0.6.0", "kind": KIND, "devices": devices}, indent=1)
    if file.exists() and file.read_text() == text:
        return
    # containerd reads files that end in .json.
    partial = file.with_suffix(".new")
    partial.write_text(text)
    partial.replace(file)


def _device(name: str, nodes: Sequence[Node]) -> dict[str, Any]:
    # Without numbers, containerd reads those that the node has when it creates a container.
    edits = [
        {"path": node.inside, "hostPath": node.path, "permissions": "rw", "fileMode": _MODE} for node in nodes
    ]
    return {"name": name, "containerEdits": {"deviceNodes": edits}}
