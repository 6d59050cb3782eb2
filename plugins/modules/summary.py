"""The documentation of the action summary."""

DOCUMENTATION = """
module: summary
short_description: Lists what runs in a home, and whether it is healthy
description:
  - Reads everything from the cluster that this collection applied, and asks every host that Traefik serves.
  - Runs on the control machine and changes nothing.
options:
  address:
    type: str
    required: true
    description: Address of the cluster and its services.
  ca_file:
    type: path
    default: ""
    description: Certificate authority of the services. Empty trusts the authorities of this machine.
  format:
    type: str
    default: text
    choices: [text, json]
    description:
      - C(json) also prints one line of JSON, which begins with a brace, even if the cluster does not answer.
  left_out:
    type: list
    elements: str
    default: []
    description: Those of O(machines) that the run goes on without. It is no fault that their nodes are away.
  machines:
    type: dict
    default: {}
    description:
      - The machines in the inventory, each by its name there with the address or name Ansible connects to.
      - A node of the cluster that is none of them is told. The others are asked for a page at their address.
  secrets_dir:
    type: path
    required: true
    description: Directory of the passwords on the control machine.
  timeout:
    type: int
    default: 60
    description: Seconds a service may take until it answers without an error.
author: The homeserver.stack maintainers (!UNKNOWN)
extends_documentation_fragment:
  - homeserver.stack.cluster
  - homeserver.stack.read_only
"""

EXAMPLES = """
- homeserver.stack.summary:
    kubeconfig: .kube/home.yaml
    address: 192.168.1.10
    ca_file: secrets/home/ca.crt
    machines: {home: 192.168.1.10, attic: attic.lan}
    secrets_dir: secrets/home
  register: summary
"""

RETURN = """
report:
  description: >-
    Lines for a reader. Pages come first, then the cluster, then what has no page.
    Of several nodes there is a table at the end, and the volumes on each.
  type: list
  elements: str
  returned: always
status:
  description: The same for a program.
  type: dict
  returned: always
unhealthy:
  description: The components and nodes that are not healthy.
  type: list
  elements: str
  returned: always
"""
