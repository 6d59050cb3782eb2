"""The documentation of the action summary."""

DOCUMENTATION = """
module: summary
short_description: Lists what runs in a home, and whether it is healthy
description:
  - Reads everything that this collection applied to the cluster, and requests every host that Traefik serves.
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
      - C(json) also prints one line of JSON, which starts with a brace, even if the cluster does not answer.
  left_out:
    type: list
    elements: str
    default: []
    description: Those of O(machines) that are not part of the run. Their nodes may be unreachable.
  machines:
    type: dict
    default: {}
    description:
      - The machines in the inventory, by name, each with the address or name that Ansible connects to.
      - Nodes of the cluster without a machine are reported. A page is requested from each of the other nodes.
  secrets_dir:
    type: path
    required: true
    description: Directory of the passwords on the control machine.
  timeout:
    type: int
    default: 60
    description: Seconds within which a service must respond without an error.
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
    Lines for a reader. Pages come first, then the cluster, then components without a page.
    With several nodes, a table at the end lists them and the volumes on each.
  type: list
  elements: str
  returned: always
status:
  description: The same data for a program.
  type: dict
  returned: always
unhealthy:
  description: The components and nodes that are not healthy.
  type: list
  elements: str
  returned: always
"""
