"""Traefik's variables and manifests."""

from pathlib import Path
from typing import Any

from tests.unit import rendering
from tests.unit.rendering import Object


class Role(rendering.Role):
    """The role, for a home that sets some variables."""

    def __init__(self, state: Path, **variables: Any) -> None:
        super().__init__("traefik", state, **variables)

    def manifests(self) -> list[Object]:
        """Render all templates."""
        return self.objects(self.value("_traefik_templates"))


def render(state: Path, **variables: Any) -> list[Object]:
    """Render all templates for a home that sets these variables."""
    return Role(state, **variables).manifests()
