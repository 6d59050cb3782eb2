"""The module microk8s_node."""

from __future__ import annotations

DOCUMENTATION = """
module: microk8s_node
short_description: Sets the labels and taints of a node
description:
  - Removes unwanted ones of earlier calls, and keeps all that other programs set.
  - Runs on the host of the control plane.
options:
  name:
    type: str
    required: true
    description: The node.
  labels:
    type: dict
    default: {}
    description: The labels.
  taints:
    type: list
    elements: dict
    default: []
    description: The taints.
    suboptions:
      key:
        type: str
        required: true
        description: Its name.
      value:
        type: str
        default: ""
        description: Its value.
      effect:
        type: str
        choices: [NoSchedule, PreferNoSchedule, NoExecute]
        required: true
        description: The effect on pods that do not tolerate it.
author: The homeserver.stack maintainers (!UNKNOWN)
attributes:
  check_mode:
    support: full
    description: It reports what would change.
"""

EXAMPLES = """
- homeserver.stack.microk8s_node:
    name: attic
    labels:
      disk: large
"""

RETURN = """
patch:
  description: The changes, as a merge patch.
  type: dict
  returned: always
"""

import json
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils.nodes.joining import node_patch
from ansible_collections.homeserver.stack.plugins.module_utils.nodes.membership import MICROK8S


def main() -> None:
    """Run the module."""
    taint = {
        "key": {"required": True, "no_log": False},
        "value": {"default": ""},
        "effect": {"choices": ["NoSchedule", "PreferNoSchedule", "NoExecute"], "required": True},
    }
    module = AnsibleModule(
        {
            "name": {"required": True},
            "labels": {"type": "dict", "default": {}},
            "taints": {"type": "list", "elements": "dict", "options": taint, "default": []},
        },
        supports_check_mode=True,
    )
    try:
        patch = _give(module.params, check=module.check_mode)
    except subprocess.CalledProcessError as error:
        module.fail_json(msg=f"the node {module.params['name']} cannot be changed: {error.stderr.strip()}")
    module.exit_json(changed=bool(patch), patch=patch)


def _give(params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Patch the node if it differs, and return the patch."""
    node = json.loads(_kubectl("get", "node", params["name"], "--output=json"))
    labels = {name: str(value) for name, value in params["labels"].items()}
    patch = node_patch(node, labels, params["taints"])
    if patch and not check:
        given = json.dumps(patch)
        _kubectl("patch", "node", params["name"], "--type=merge", "--patch-file=/dev/stdin", given=given)
    return patch


def _kubectl(*arguments: str, given: str = "") -> str:
    command = [MICROK8S, "kubectl", *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
