"""The module microk8s_certificate."""

from __future__ import annotations

DOCUMENTATION = """
module: microk8s_certificate
short_description: Signs a certificate of a node on the founder
description:
  - Takes only the public key from the node. The founder decides the subject, usage and validity of the
    certificate, so a node cannot impersonate others.
options:
  name:
    type: str
    required: true
    choices: [front-proxy-client, kubelet, proxy]
    description: Name of the certificate.
  public_key:
    type: str
    required: true
    description: The node's public key, as C(openssl pkey -pubout) prints it.
  node:
    type: str
    default: ""
    description: The name of the node, for a kubelet's certificate.
  address:
    type: str
    default: ""
    description: The IPv4 address of the node, for a kubelet's certificate; empty if it has none.
  directory:
    type: path
    default: /var/snap/microk8s/current/certs
    description: The directory of the authorities and their keys.
author: The homeserver.stack maintainers (!UNKNOWN)
extends_documentation_fragment: homeserver.stack.read_only
"""

EXAMPLES = """
- homeserver.stack.microk8s_certificate:
    name: kubelet
    public_key: "{{ key.stdout }}"
    node: attic
    address: 192.168.1.11
"""

RETURN = """
certificate:
  description: The certificate, in PEM.
  type: str
  returned: always
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils.nodes import certificates


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "name": {"required": True, "choices": ["front-proxy-client", "kubelet", "proxy"]},
            "public_key": {"required": True},
            "node": {"default": ""},
            "address": {"default": ""},
            "directory": {"type": "path", "default": str(certificates.CERTIFICATES)},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        subject = certificates.bearer(given["name"], given["node"], given["address"])
        signed = certificates.sign(given["name"], given["public_key"], subject, Path(given["directory"]))
    except ValueError as error:
        module.fail_json(msg=f"{given['name']}.crt was not signed: {error}")
    module.exit_json(certificate=signed)


if __name__ == "__main__":
    main()
