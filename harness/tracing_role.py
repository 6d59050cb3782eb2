"""The configuration and objects of the role tracing, rendered like the role does but without a cluster."""

from pathlib import Path
from typing import Any

import yaml

from harness import rendering
from harness.rendering import Object, find


class Role(rendering.Role):
    """The role, for a home with some variables."""

    def __init__(self, state: Path, **variables: Any) -> None:
        images = {"homeserver-logstore": "logstore:1"}
        super().__init__("tracing", state, homeserver_built_images=images, **variables)

    def manifests(self) -> list[Object]:
        """Render all templates."""
        return self.objects()

    def configuration(self, program: str) -> dict[str, Any]:
        """Return the configuration of the Collector or Jaeger."""
        data = find(self.manifests(), "ConfigMap", program)["data"]
        configuration: dict[str, Any] = yaml.safe_load(data[f"{program}.yaml"])
        return configuration
