"""The module microk8s_cluster."""

from __future__ import annotations

DOCUMENTATION = """
module: microk8s_cluster
short_description: Reads the state of a cluster from the control plane on a host
description:
  - Returns an empty cluster if no control plane answers. Changes nothing.
options:
  answers:
    type: bool
    default: false
    description: Whether to wait until a control plane answers.
  ready:
    type: str
    default: ""
    description: A node that must become ready.
  gone:
    type: str
    default: ""
    description: A node that must disappear from the cluster.
  encrypting:
    type: bool
    default: false
    description: Whether to wait until Calico encrypts on every node that is ready.
  timeout:
    type: int
    default: 600
    description: Seconds to wait.
author: The homeserver.stack maintainers (!UNKNOWN)
extends_documentation_fragment: homeserver.stack.read_only
"""

EXAMPLES = """
- homeserver.stack.microk8s_cluster:
    ready: attic
    timeout: 300
  register: cluster
"""

RETURN = """
running:
  description: Whether a control plane answers on this host.
  type: bool
  returned: always
member:
  description:
    - The value of C(member) from M(homeserver.stack.microk8s_info).
    - Also the C(address) of this node, which is empty if it is not a node yet.
  type: dict
  returned: always
nodes:
  description:
    - The C(name), C(address), C(version) and C(kernel) of each node, its C(calico) address, whether Calico
      C(encrypts) there, whether the node is C(ready), and the C(reason).
    - Also whether it accepts new pods, C(schedulable).
  type: list
  elements: dict
  returned: always
volumes:
  description: The C(name) of each volume, its C(claim) as namespace/name, its C(node) and its C(path).
  type: list
  elements: dict
  returned: always
pods:
  description:
    - The C(name), C(namespace), C(node) and C(address) of each pod that is not in the host network.
    - Also whether it C(runs).
  type: list
  elements: dict
  returned: always
workloads:
  description: The namespaces with pods, except Kubernetes' own.
  type: list
  elements: str
  returned: always
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils.nodes import membership

_INTERVAL = 2


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "answers": {"type": "bool", "default": False},
            "ready": {"default": ""},
            "gone": {"default": ""},
            "encrypting": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    deadline = time.monotonic() + module.params["timeout"]
    while (cluster := membership.cluster()) and (lacking := _lacking(cluster, module.params)):
        if time.monotonic() > deadline:
            module.fail_json(msg=f"after {module.params['timeout']} s {lacking}")
        time.sleep(_INTERVAL)
    module.exit_json(
        **cluster,
        member={**(member := membership.membership()), "address": _address(cluster, member)},
        workloads=membership.workloads(cluster["pods"]),
    )


def _lacking(cluster: dict[str, Any], params: dict[str, Any]) -> str:
    """Return the condition that is not met yet, or an empty text."""
    if (params["answers"] or params["encrypting"]) and not cluster["running"]:
        return "MicroK8s does not answer -> on the host: sudo microk8s start, or sudo microk8s inspect"
    ready, gone = params["ready"], params["gone"]
    nodes = {node["name"]: node for node in cluster["nodes"]}
    if gone in nodes:
        return f"the cluster still has the node {gone}"
    if ready and ready not in nodes:
        return f"the node {ready} has not registered"
    if ready and not nodes[ready]["ready"]:
        return f"the node {ready} is not ready: {nodes[ready]['reason']}"
    return _in_clear_text(cluster["nodes"]) if params["encrypting"] else ""


def _in_clear_text(nodes: list[dict[str, Any]]) -> str:
    """List the nodes where Calico does not encrypt; an unreachable node sends nothing."""
    plain = [node for node in nodes if node["ready"] and not node["encrypts"]]
    if not plain:
        return ""
    named = ", ".join(f"{node['name']} (kernel {node['kernel']})" for node in plain)
    log = "kubectl -n kube-system logs -l k8s-app=calico-node --tail=-1"
    fix = f"look for wireguard in {log}, or set microk8s_encrypt_between_nodes: auto"
    return f"Calico has published no WireGuard key of {named}, which sends clear text -> {fix}"


def _address(cluster: dict[str, Any], member: dict[str, Any]) -> str:
    return "".join(node["address"] for node in cluster["nodes"] if node["name"] == member["node"])


if __name__ == "__main__":
    main()
