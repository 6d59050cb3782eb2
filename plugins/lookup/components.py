"""The lookup plugin components."""

from __future__ import annotations

DOCUMENTATION = """
name: components
short_description: Tells what the components of this home declare
description:
  - Each role that is a component declares in C(meta/component.yml) what the rest of the home needs to know.
options:
  _terms:
    description:
      - C(enabled) for whether each component runs, by role.
      - C(namespaces) for whether anything runs in each namespace, by name.
      - C(pages) for whether each page is served, by its host name without the domain. The component that is
        applied last comes first.
      - C(secrets) for the files of each secret that can be rotated and the stages that hand them on, by name.
      - C(unrotatable_secrets) for why each of the others cannot be, by name.
    type: str
    required: true
    choices: [enabled, namespaces, pages, secrets, unrotatable_secrets]
"""

EXAMPLES = """
- ansible.builtin.debug:
    msg: "{{ lookup('homeserver.stack.components', 'enabled').grafana }}"
"""

RETURN = """
_raw:
  description: What is declared.
  type: list
  elements: dict
"""

from collections import ChainMap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template
from ansible_collections.homeserver.stack.plugins.module_utils.components import (
    components,
    secrets,
    unrotatable_secrets,
)

_ROLES = Path(__file__).parents[2] / "roles"


class LookupModule(LookupBase):
    """Tell what is declared."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        """Tell it."""
        self.set_options(var_options=variables, direct=kwargs)
        match terms:
            case ["secrets"]:
                return [secrets()]
            case ["unrotatable_secrets"]:
                return [unrotatable_secrets()]
        holds = self._evaluator(variables or {})
        enabled = {role: holds(each["enabled"]) for role, each in components().items()}
        match terms:
            case ["namespaces"]:
                return [_namespaces(enabled)]
            case ["pages"]:
                return [_pages(enabled, holds)]
        return [enabled]

    def _evaluator(self, variables: Mapping[str, Any]) -> Callable[[str | bool], bool]:
        """Return what evaluates a condition. The roles that are not part of the play have their defaults."""
        files = [str(_ROLES / role / "defaults/main.yml") for role in components()]
        loaded = [self._loader.load_from_file(file, trusted_as_template=True) for file in files]
        known = {**ChainMap(*loaded), **variables}
        templar = self._templar.copy_with_new_env(available_variables=known)
        return lambda condition: condition is True or bool(templar.template(trust_as_template(condition)))


def _namespaces(enabled: Mapping[str, bool]) -> dict[str, bool]:
    """Tell of each namespace whether one of its components is enabled."""
    declared = [(each["namespace"], role) for role, each in components().items() if "namespace" in each]
    used = {name for name, role in declared if enabled[role]}
    return {name: name in used for name, _ in declared}


def _pages(enabled: Mapping[str, bool], holds: Callable[[str | bool], bool]) -> dict[str, bool]:
    """Tell of each page whether it is served."""
    return {
        page: enabled[role] and holds(condition)
        for role, each in reversed(components().items())
        for page, condition in each.get("pages", {}).items()
    }
