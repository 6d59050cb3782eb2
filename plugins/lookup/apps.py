"""The lookup plugin apps."""

from __future__ import annotations

DOCUMENTATION = """
name: apps
short_description: Lists the apps of this home
description:
  - Returns the entries of C(apps) and of imported compose files, in any role, without defaults. An entry with
    C(from) is replaced with those of the catalogue, changed by its other keys.
options: {}
"""

EXAMPLES = """
- ansible.builtin.debug:
    msg: "{{ query('homeserver.stack.apps') }}"
"""

RETURN = """
_raw:
  description: The entries.
  type: list
  elements: dict
"""

from typing import Any

from ansible_collections.homeserver.stack.plugins.plugin_utils.apps_lookup import AppsLookup


class LookupModule(AppsLookup):
    """List apps."""

    def run(self, _: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        """List them."""
        self.set_options(var_options=variables, direct=kwargs)
        return self.apps(variables)
