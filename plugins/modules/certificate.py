"""The documentation of the action certificate."""

from __future__ import annotations

DOCUMENTATION = """
module: certificate
short_description: Issues a certificate of the home's own authority
description:
  - Writes a certificate and its key to C(homeserver_secrets_dir) on the control machine, next to the
    authority, which is created if it does not exist.
  - Renews the certificate before it expires, and when the names or the authority change.
  - Fails for a name that the authority may not issue for.
  - Also uses the options of the role P(homeserver.stack.certificate_authority#role).
options:
  name:
    description: Name of the files, without the extensions C(.crt) and C(.key).
    type: str
    required: true
  dns_names:
    description: Host names that the certificate is for. The first is also its common name.
    type: list
    elements: str
    required: true
  for_clients:
    description: Whether the certificate is also a client certificate, for servers that connect to each other.
    type: bool
    default: false
author: The homeserver.stack maintainers (!UNKNOWN)
attributes:
  check_mode:
    support: full
    description: A dry run writes nothing.
  diff_mode:
    support: none
    description: It shows no differences.
"""

EXAMPLES = """
- name: Issue the wiki's certificate
  homeserver.stack.certificate:
    name: wiki
    dns_names: [wiki.home.arpa]
"""

RETURN = "{}"
