"""The documentation of the action run_job."""

from __future__ import annotations

DOCUMENTATION = """
module: run_job
short_description: Runs a Job once and removes it
description:
  - Fails with the log of the Job if the Job fails.
  - Leaves nothing in the cluster. Does nothing in check mode.
options:
  application:
    description: The application of M(homeserver.stack.kubernetes_apply) that the Job belongs to.
    type: str
    required: true
  definition:
    description: A Job with one container. A random suffix makes its name unique.
    type: dict
    required: true
  timeout:
    description: Seconds that it may take, without the time to pull its image.
    type: int
    default: 300
  wait:
    description: Whether to wait until it has ended. Otherwise a task with O(attach) waits, and removes it.
    type: bool
    default: true
  attach:
    description: Whether O(definition) is the RV(definition) of a task that only started it.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: It does nothing.
author:
  - The homeserver.stack maintainers (!UNKNOWN)
extends_documentation_fragment: homeserver.stack.cluster
"""

EXAMPLES = """
- name: Check that a log line arrives
  homeserver.stack.run_job:
    application: elk
    definition: "{{ lookup('homeserver.stack.template', 'arrival.job.j2') | from_yaml }}"
"""

RETURN = """
definition:
  description: The Job, with its random suffix.
  type: dict
  returned: always
"""
