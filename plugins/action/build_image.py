"""Runs `homeserver.stack.build_image` on the control machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.image_build import BuildError, Image, archive_path, build

ARGUMENTS: dict[str, dict[str, Any]] = {
    "base": {"type": "str", "required": True},
    "base_archive": {"type": "path"},
    "directory": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "platform": {"type": "str", "choices": ["linux/amd64", "linux/arm64"], "default": "linux/amd64"},
    "source": {"type": "path", "required": True},
}


class ActionModule(ActionBase):
    """Build an image, unless it was built before."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Name the image after its content, and build it if there is no archive of that name."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(ARGUMENTS)
        source = Path(arguments["source"]).resolve()
        image = Image(arguments["name"], source, arguments["base"], arguments["platform"])
        try:
            archive = archive_path(image, Path(arguments["directory"]))
            result |= {"reference": image.reference, "archive": str(archive), "changed": not archive.exists()}
            if result["changed"] and not self._task.check_mode:
                base = arguments["base_archive"]
                build(image, archive, Path(base) if base else None)
        except BuildError as error:
            return result | {"failed": True, "msg": f"{image.name}: {error}"}
        return result
