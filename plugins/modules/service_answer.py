"""What `homeserver.stack.service_answer` takes; the action plugin of its name does the work."""

from __future__ import annotations

DOCUMENTATION = """
module: service_answer
short_description: Waits until a Service in the cluster answers as it should
description:
  - Asks, by way of the API server, a Service that may be reachable from within the cluster alone.
  - Changes nothing. In check mode nothing is asked.
options:
  contains:
    description: What the answer is to hold.
    type: str
    required: true
  kubeconfig:
    description: Path of the kubeconfig file on the control machine; its current context is used.
    type: path
    required: true
  path:
    description: What to ask for, with its query, as in C(/api/v1/query?query=up).
    type: str
    required: true
  service:
    description: The Service by namespace, name and port, as in C(monitoring/prometheus:9090).
    type: str
    required: true
  timeout:
    description: Seconds it may take to answer so.
    type: int
    default: 60
attributes:
  check_mode: {support: full}
author:
  - The homeserver.stack maintainers
"""

EXAMPLES = """
- name: Prometheus is ready
  homeserver.stack.service_answer:
    kubeconfig: "{{ homeserver_kubeconfig }}"
    service: monitoring/prometheus:9090
    path: /-/ready
    contains: Ready
"""

RETURN = """
"""
