"""The documentation of the action wait_for_service."""

from __future__ import annotations

DOCUMENTATION = """
module: wait_for_service
short_description: Waits until a Service in the cluster gives the expected answer
description:
  - Asks through the API server, so the Service need not be reachable from outside the cluster.
  - Changes nothing. Does nothing in check mode.
options:
  contains:
    description: Text that the answer must contain.
    type: str
    required: true
  path:
    description: Path of the request with its query, as in C(/api/v1/query?query=up).
    type: str
    required: true
  service:
    description: The Service by namespace, name and port, as in C(monitoring/prometheus:9090).
    type: str
    required: true
  timeout:
    description: Seconds until the expected answer must arrive.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    description: It does nothing.
author:
  - The homeserver.stack maintainers (!UNKNOWN)
extends_documentation_fragment: homeserver.stack.cluster
"""

EXAMPLES = """
- name: Wait for Prometheus
  homeserver.stack.wait_for_service:
    service: monitoring/prometheus:9090
    path: /-/ready
    contains: Ready
"""

RETURN = """
"""
