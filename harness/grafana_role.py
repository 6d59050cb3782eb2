"""Grafana's objects."""

from pathlib import Path
from typing import Any

from harness.rendering import Object, Role


def render(state: Path, **variables: Any) -> list[Object]:
    """Render all templates for a home with these variables."""
    role = Role("grafana", state, **variables)
    return role.objects()
