"""Evaluates the declarations of components, for plugins."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.homeserver.stack.plugins.module_utils.components import components

_ROLES = Path(__file__).parents[2] / "roles"


def evaluator(templar: Templar, loader: DataLoader, variables: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Return a function that evaluates the expressions in a part of a declaration.

    Roles that are not part of the play have their defaults.
    """
    files = [str(_ROLES / role / "defaults/main.yml") for role in components()]
    loaded = [loader.load_from_file(file, trusted_as_template=True) for file in files]
    known = templar.copy_with_new_env(available_variables={**ChainMap(*loaded), **variables})

    def evaluate(value: Any) -> Any:
        if isinstance(value, str):
            return known.template(trust_as_template(value)) if "{{" in value else value
        if isinstance(value, list):
            return [evaluate(each) for each in value]
        return value

    return evaluate
