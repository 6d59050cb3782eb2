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
      - V(present) creates the authority. Before certificates that it issues could outlive it, it is renewed
        with the same key and the same name.
      - V(absent) removes it, and the one before or after it.
    type: str
    choices: [present, absent]
  step:
    description:
      - A step of replacing it by another one. After each, the roles whose clients trust the authority have to
        be run. Whatever interrupts a step, running it again completes it.
      - V(begin) creates the next authority, C(ca.next.crt), which clients from then on trust as well.
      - V(switch) makes it the authority. The one before is still trusted, as C(ca.previous.crt), and its key
        is gone.
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
