"""The documentation of the action preflight."""

DOCUMENTATION = """
module: preflight
short_description: Names everything that would make an installation fail
description:
  - Judges the inventory, the control machine and what M(homeserver.stack.host_probe) has found on each host.
  - Fails with one message that names every problem, of which hosts, and how to fix it.
  - Runs on the control machine, asks no host, and changes nothing.
options:
  hosts:
    description: The hosts to judge. Each has its findings in the variable C(_preflight_probe).
    type: list
    elements: str
    required: true
  limits:
    description: What a host must have.
    type: dict
    required: true
    suboptions:
      clock_skew_seconds:
        description: Seconds its clock may differ from that of the control machine.
        type: int
        required: true
      disk_gib:
        description: GiB that are free before MicroK8s is installed.
        type: int
        required: true
      disk_running_gib:
        description: GiB that are free once it runs.
        type: int
        required: true
      distributions:
        description: The oldest release of each distribution, by its C(ID) in C(/etc/os-release).
        type: dict
        required: true
      memory_mib:
        description: MiB of memory.
        type: int
        required: true
author: The homeserver.stack maintainers (!UNKNOWN)
extends_documentation_fragment: homeserver.stack.read_only
"""

EXAMPLES = """
- homeserver.stack.preflight:
    hosts: "{{ ansible_play_hosts_all }}"
    limits:
      clock_skew_seconds: 60
      disk_gib: 50
      disk_running_gib: 5
      distributions: {debian: "12", ubuntu: "22.04"}
      memory_mib: 7600
"""

RETURN = "{}"
