"""The module removed_apis."""

from __future__ import annotations

DOCUMENTATION = """
module: removed_apis
short_description: Finds objects that use an API version that an upgrade removes
description:
  - Asks the control plane on this host which API versions will be removed, and which clients write them.
    Objects that Kubernetes itself writes are not included. Changes nothing.
options:
  version:
    type: str
    required: true
    description: The version of MicroK8s or its channel, as in C(1.36/stable).
author: The homeserver.stack maintainers (!UNKNOWN)
extends_documentation_fragment: homeserver.stack.read_only
"""

EXAMPLES = """
- homeserver.stack.removed_apis:
    version: 1.36/stable
"""

RETURN = """
objects:
  description: The objects, each with its kind, its name, the removed version, and the client that writes it.
  type: list
  elements: str
  returned: always
"""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils import versions
from ansible_collections.homeserver.stack.plugins.module_utils.nodes import membership

# The API server returns this in a warning, based on the life cycle that each of its types declares:
# k8s.io/apiserver/pkg/endpoints/deprecation.
_UNAVAILABLE = re.compile(r"unavailable in v1\.(\d+)\+")
# Stable versions are never removed.
_UNSTABLE = re.compile(r"v\d+(alpha|beta)\d+$")
_OWN = ("kube-", "kubelet")
_TIMEOUT = 30


class SilentError(Exception):
    """The API does not answer; the message has the request."""


def main() -> None:
    """Run the module."""
    module = AnsibleModule({"version": {"required": True}}, supports_check_mode=True)
    try:
        module.exit_json(objects=sorted(_removed(versions.minor(module.params["version"]))))
    except SilentError as error:
        module.fail_json(msg=str(error))


def _removed(minor: int) -> Iterator[str]:
    for group in _ask("/apis")[0]["groups"]:
        for version in group["versions"]:
            if _UNSTABLE.search(version["version"]):
                yield from _of_version(version["groupVersion"], minor)


def _of_version(version: str, minor: int) -> Iterator[str]:
    """Yield the objects of one version of a group."""
    for resource in _ask(f"/apis/{version}")[0].get("resources", []):
        if "list" in resource["verbs"] and "/" not in resource["name"]:
            listed, warnings = _ask(f"/apis/{version}/{resource['name']}?limit=500")
            if any(int(found) <= minor for found in _UNAVAILABLE.findall(warnings)):
                yield from (
                    f"{resource['kind']} {_name(entry)} ({version}, written by {writer})"
                    for entry in listed["items"]
                    for writer in sorted(_writers(entry, version))
                )


def _name(entry: dict[str, Any]) -> str:
    return "/".join(filter(None, (entry["metadata"].get("namespace"), entry["metadata"]["name"])))


def _writers(entry: dict[str, Any], version: str) -> set[str]:
    fields = entry["metadata"].get("managedFields", [])
    writers = {field.get("manager", "") for field in fields if field.get("apiVersion") == version}
    return {writer for writer in writers if not writer.startswith(_OWN)}


def _ask(path: str) -> tuple[Any, str]:
    """Return the response of the API, and its warnings."""
    command = [membership.MICROK8S, "kubectl", f"--request-timeout={_TIMEOUT}s", "get", "--raw", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SilentError(f"Kubernetes does not return {path}: {done.stderr.strip()}")
    return json.loads(done.stdout), done.stderr


if __name__ == "__main__":
    main()
