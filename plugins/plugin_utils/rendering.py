"""Renders the templates of roles for plugins that apply them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template


def render(templar: Templar, loader: DataLoader, file: str, variables: Mapping[str, Any]) -> str:
    """Return the text of a template. Ansible's own lookup first makes a deep copy of all variables."""
    source = trust_as_template(loader.get_text_file_contents(file))
    search = [str(Path(file).parent), *variables.get("ansible_search_path", [])]
    renderer = templar.copy_with_new_env(searchpath=search, available_variables=variables)
    return str(renderer.template(source, escape_backslashes=False) or "")
