"""The documentation of the action kubernetes_info."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_info
short_description: Reads the objects of a kind in all namespaces
description:
  - Runs within Ansible itself, which saves the start of a module, and waits for an API server that restarts.
options:
  api_version:
    description: The version to read them in.
    type: str
    default: v1
  kind:
    description: Their kind. The result is empty where the cluster does not serve it.
    type: str
    required: true
attributes:
  check_mode:
    support: full
    description: It changes nothing.
author:
  - The homeserver.stack maintainers (!UNKNOWN)
extends_documentation_fragment: homeserver.stack.cluster
"""

EXAMPLES = """
- name: Read the nodes
  homeserver.stack.kubernetes_info:
    kind: Node
  register: nodes
"""

RETURN = """
resources:
  description: The objects.
  type: list
  elements: dict
  returned: success
"""
