"""The documentation of the action preflight."""

DOCUMENTATION = """
module: preflight
short_description: Reports everything that would make an installation fail
description:
  - Checks the inventory, the control machine and the result of M(homeserver.stack.host_probe) for each host.
  - Fails with one message that lists every problem, the affected hosts, and the fix.
  - Runs on the control machine, does not connect to hosts, and changes nothing.
options:
  hosts:
    description: The hosts to check. The variable C(_preflight_probe) has the result for each.
    type: list
    elements: str
    required: true
  limits:
    description: Requirements of a host.
    type: dict
    required: true
    suboptions:
      clock_skew_seconds:
        description: Seconds by which its clock may differ from that of the control machine.
        type: int
        required: true
      disk_gib:
        description: Free space before MicroK8s is installed, in GiB.
        type: int
        required: true
      disk_running_gib:
        description: Free space once it runs, in GiB.
        type: int
        required: true
      distributions:
        description: The oldest release of each distribution, by its C(ID) in C(/etc/os-release).
        type: dict
        required: true
      memory_mib:
        description: Memory in MiB.
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
