"""The documentation of the action certificate_authority."""

from __future__ import annotations

DOCUMENTATION = """
module: certificate_authority
short_description: Creates, removes or replaces the home's own certificate authority
description:
  - Keeps the authority on the control machine, as C(ca.crt) and C(ca.key) in C(homeserver_secrets_dir).
  - Also uses the options of the role P(homeserver.stack.certificate_authority#role).
options:
  state:
    description:
      - V(present) creates the authority, and renews it with the same key and name before certificates
        that it issues could outlive it.
      - V(absent) removes it, and the previous or next one.
    type: str
    choices: [present, absent]
  step:
    description:
      - A step of its rotation. After each step, the roles whose clients trust the authority must run. An
        interrupted step can be repeated.
      - V(begin) creates the next authority, C(ca.next.crt), which clients trust as well from then on.
      - V(switch) makes it the current authority. The previous one is still trusted, as C(ca.previous.crt);
        its key is deleted.
      - V(drop) ends that trust, and V(end) removes its certificate.
    type: str
    choices: [begin, switch, drop, end]
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
- name: Create the authority
  homeserver.stack.certificate_authority:
    state: present

- name: Begin to replace it
  homeserver.stack.certificate_authority:
    step: begin
"""

RETURN = "{}"
