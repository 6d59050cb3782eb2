"""The defaults of a role, for code that runs outside of its plays."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader

_ROLES = Path(__file__).parents[2] / "roles"


@cache
def role_defaults(role: str) -> dict[str, Any]:
    """Return the defaults of a role and of its dependencies, with the path that they refer to."""
    loader = DataLoader()

    def read(file: str) -> dict[str, Any]:
        content: dict[str, Any] = loader.load_from_file(str(_ROLES / role / file), trusted_as_template=True)
        return content

    defaults: dict[str, Any] = {}
    for dependency in read("meta/main.yml")["dependencies"]:
        defaults |= role_defaults(dependency["role"].rpartition(".")[2])
    return defaults | read("defaults/main.yml") | {"role_path": str(_ROLES / role)}
