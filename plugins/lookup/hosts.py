"""The lookup plugin hosts."""

from __future__ import annotations

DOCUMENTATION = """
name: hosts
short_description: Lists every host name that this home serves
description:
  - Returns the host names of this project's components, of the apps and of C(traefik_routes), in any role.
options: {}
"""

EXAMPLES = """
- ansible.builtin.debug:
    msg: "{{ query('homeserver.stack.hosts') }}"
"""

RETURN = """
_raw:
  description: The host names.
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.homeserver.stack.plugins.module_utils.routes import routes
from ansible_collections.homeserver.stack.plugins.plugin_utils.apps_lookup import AppsLookup


class LookupModule(AppsLookup):
    """List host names."""

    def run(self, _: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """List them."""
        self.set_options(var_options=variables, direct=kwargs)
        domain, hosts, extra = self.values(
            ("homeserver_domain", "homeserver_hosts", "traefik_routes"), variables
        )
        return [route.host for route in routes(domain, hosts, self.apps(variables), extra)]
