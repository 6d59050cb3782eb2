"""The documentation of the action summary."""

DOCUMENTATION = """
module: summary
short_description: Tell what runs in a home, and whether it is healthy
description:
  - Reads the cluster for everything this collection applied, and asks every host that Traefik answers for.
  - Runs on the control machine and changes nothing.
options:
  kubeconfig:
    type: path
    required: true
    description: The kubeconfig of the cluster.
  address:
    type: str
    required: true
    description: Where the cluster and its services are reached.
  ca_file:
    type: path
    default: ""
    description: The authority that signs the services' certificates. Empty trusts those of this machine.
  secrets_dir:
    type: path
    required: true
    description: Where the passwords are kept on the control machine.
  timeout:
    type: int
    default: 60
    description: How many seconds a service may take to answer as it should.
author: The homeserver.stack maintainers
extends_documentation_fragment: homeserver.stack.read_only
"""

EXAMPLES = """
- homeserver.stack.summary:
    kubeconfig: .kube/home.yaml
    address: 192.168.1.10
    ca_file: secrets/home/ca.crt
    secrets_dir: secrets/home
  register: summary
"""

RETURN = """
table:
  description: The lines of the table.
  type: list
  elements: str
  returned: always
unhealthy:
  description: The components that are not healthy.
  type: list
  elements: str
  returned: always
"""
