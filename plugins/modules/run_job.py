"""What `homeserver.stack.run_job` takes; the action plugin of its name does the work."""

from __future__ import annotations

DOCUMENTATION = """
module: run_job
short_description: Runs a Job for what it finds out, and takes it away again
description:
  - Fails with what the Job's pod said, if it ends with an error.
  - Changes nothing that stays. In check mode nothing is run.
options:
  application:
    description: Whose errand it is; an application of M(homeserver.stack.kubernetes_apply).
    type: str
    required: true
  definition:
    description: The Job, of one container. Its name is completed to one of its own.
    type: dict
    required: true
  kubeconfig:
    description: Path of the kubeconfig file on the control machine; its current context is used.
    type: path
    required: true
  timeout:
    description: Seconds it may take, with the download of its image.
    type: int
    default: 300
attributes:
  check_mode: {support: full}
author:
  - The homeserver.stack maintainers
"""

EXAMPLES = """
- name: What is logged arrives
  homeserver.stack.run_job:
    kubeconfig: "{{ homeserver_kubeconfig }}"
    application: elk
    definition: "{{ lookup('ansible.builtin.template', 'arrival.yaml.j2') | from_yaml }}"
"""

RETURN = """
"""
