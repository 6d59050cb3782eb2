"""The module workloads."""

from __future__ import annotations

DOCUMENTATION = """
module: workloads
short_description: Returns the workloads of the cluster that run, or waits for them
description:
  - Asks the control plane on this host. Changes nothing.
options:
  wait_for:
    type: list
    elements: str
    default: []
    description: Workloads to wait for, as returned by this module. Those that no longer exist are ignored.
  timeout:
    type: int
    default: 600
    description: Maximum seconds until one more of them runs.
author: The homeserver.stack maintainers (!UNKNOWN)
extends_documentation_fragment: homeserver.stack.read_only
"""

EXAMPLES = """
- homeserver.stack.workloads:
  register: before
- homeserver.stack.workloads:
    wait_for: "{{ before.running }}"
"""

RETURN = """
running:
  description: The workloads of which all pods run, such as C(Deployment traefik/traefik).
  type: list
  elements: str
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils import workloads


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "wait_for": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    names, timeout = module.params["wait_for"], module.params["timeout"]
    if names and (lacking := workloads.wait(names, timeout)):
        listed = "; ".join(f"{name}: {why}" for name, why in lacking.items())
        module.fail_json(msg=f"no progress for {timeout} s, and these do not run any more: {listed}")
    module.exit_json(running=[name for name, why in workloads.unready().items() if not why])


if __name__ == "__main__":
    main()
