"""The lookup plugin components."""

from __future__ import annotations

DOCUMENTATION = """
name: components
short_description: Returns the declarations of this home's components
description:
  - A component declares facts about itself in its role's C(meta/component.yml). Other roles read them here.
options:
  _terms:
    description:
      - C(enabled) for whether each component runs, by role.
      - C(hosts) for the host name of each page, even if it is not served.
      - C(namespaces) for whether anything runs in each namespace, by name.
      - C(pages) for whether each page is served, by its host name without the domain. The component that is
        applied last comes first.
      - C(routed) for the namespaces in which pods run that Traefik connects to.
      - C(scraped) for the pods that run and that Prometheus scrapes, by namespace.
      - C(secrets) for the files and the distributing stages of each secret that can be rotated, by name.
      - C(unrotatable_secrets) for the reasons why other secrets cannot be rotated, by name.
    type: str
    required: true
    choices: [enabled, hosts, namespaces, pages, routed, scraped, secrets, unrotatable_secrets]
  domain:
    description: The domain of the home, for C(hosts).
    type: str
    default: ""
"""

EXAMPLES = """
- ansible.builtin.debug:
    msg: "{{ lookup('homeserver.stack.components', 'enabled').grafana }}"
"""

RETURN = """
_raw:
  description: The declarations.
  type: list
  elements: dict
"""

from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.homeserver.stack.plugins.module_utils.components import (
    enabled,
    pages,
    routed_namespaces,
    scraped_pods,
    secrets,
    served_pages,
    unrotatable_secrets,
    used_namespaces,
)
from ansible_collections.homeserver.stack.plugins.plugin_utils.declarations import evaluator

_JUDGED = {"enabled": enabled, "namespaces": used_namespaces, "pages": served_pages}


class LookupModule(LookupBase):
    """Return declarations."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        """Return them."""
        self.set_options(var_options=variables, direct=kwargs)
        match terms[0]:
            case "hosts":
                return [{page: f"{page}.{self.get_option('domain')}" for page in pages()}]
            case "secrets":
                return [secrets()]
            case "unrotatable_secrets":
                return [unrotatable_secrets()]
        evaluate = evaluator(self._templar, variables or {})
        match terms[0]:
            case "routed":
                return [routed_namespaces(evaluate)]
            case "scraped":
                return [scraped_pods(evaluate)]
        return [_JUDGED[terms[0]](lambda _, condition: bool(evaluate(condition)))]
