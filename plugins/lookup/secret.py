"""The lookup plugin secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.loader import lookup_loader
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
name: secret
short_description: Read a generated secret, which is made if there is none
description:
  - Gives what is in a file on the control machine.
  - Where there is none, makes one with 32 random letters and digits, for its owner alone.
  - In check mode no file is made. Where there is none yet, it gives a secret that is kept nowhere.
options:
  _terms:
    description: The file.
    required: true
seealso:
  - plugin: ansible.builtin.password
    plugin_type: lookup
"""

EXAMPLES = """
- ansible.builtin.set_fact:
    password: "{{ lookup('homeserver.stack.secret', homeserver_secrets_dir ~ '/grafana_admin.password') }}"
"""

RETURN = """
_raw:
  description: The secret.
  type: list
  elements: str
"""


class LookupModule(LookupBase):
    """Read or make a secret."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Read the file that is the only term."""
        self.set_options(var_options=variables, direct=kwargs)
        keep = Path(terms[0]).is_file() or not (variables or {}).get("ansible_check_mode")
        password = lookup_loader.get("ansible.builtin.password", loader=self._loader, templar=self._templar)
        found: list[str] = password.run(
            [terms[0] if keep else "/dev/null"], variables, length=32, chars=["ascii_letters", "digits"]
        )
        return found
