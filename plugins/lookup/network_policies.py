"""The lookup plugin network_policies."""

from __future__ import annotations

DOCUMENTATION = """
name: network_policies
short_description: Generates the network policies of a component
description:
  - Returns the policies that follow from the declarations of the component and its peers in their roles'
    C(meta/component.yml).
options:
  _terms:
    description: The role.
    type: str
    required: true
"""

EXAMPLES = """
- ansible.builtin.debug:
    msg: "{{ query('homeserver.stack.network_policies', 'grafana') }}"
"""

RETURN = """
_raw:
  description: The policies.
  type: list
  elements: dict
"""

from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.homeserver.stack.plugins.module_utils.network_policies import network_policies
from ansible_collections.homeserver.stack.plugins.plugin_utils.declarations import evaluator


class LookupModule(LookupBase):
    """Generate the policies."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        """Generate the policies of a role, the only term."""
        self.set_options(var_options=variables, direct=kwargs)
        return network_policies(terms[0], evaluator(self._templar, variables or {}))
