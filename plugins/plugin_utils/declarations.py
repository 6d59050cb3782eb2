"""Evaluates the declarations of components, for plugins."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import Any

from ansible.template import Templar, trust_as_template
from ansible_collections.homeserver.stack.plugins.module_utils.components import components

from .role_defaults import role_defaults


def evaluator(templar: Templar, variables: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Return a function that evaluates the expressions in a part of a declaration.

    Roles that are not part of the play have their defaults.
    """
    defaults = ChainMap(*map(role_defaults, components()))
    known = templar.copy_with_new_env(available_variables={**defaults, **variables})

    def evaluate(value: Any) -> Any:
        if isinstance(value, str):
            return known.template(trust_as_template(value)) if "{{" in value else value
        if isinstance(value, list):
            return [evaluate(each) for each in value]
        if isinstance(value, dict):
            return {key: evaluate(each) for key, each in value.items()}
        return value

    return evaluate
