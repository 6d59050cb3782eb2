"""The lookup plugin images."""

from __future__ import annotations

DOCUMENTATION = """
name: images
short_description: Lists the images that are built for a component
description:
  - Returns the C(name), C(source), C(within), C(reference) and C(archive) of every image that a role declares
    as C(builds), and whether it is C(built).
  - The tag in the reference is a hash of the source and the base image, as in the module build_image.
  - The base image is C(homeserver_python_image), the platform is C(homeserver_platform), and built images are
    in C(homeserver_images_dir).
options:
  _terms:
    description: The role.
    type: str
    required: true
"""

EXAMPLES = """
- ansible.builtin.debug:
    msg: "{{ query('homeserver.stack.images', 'elk') }}"
"""

RETURN = """
_raw:
  description: The images.
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.homeserver.stack.plugins.module_utils.components import components
from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_build import Image, archive_path
from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_builders import BuildError
from ansible_collections.homeserver.stack.plugins.plugin_utils.declarations import evaluator

_IMAGES = Path(__file__).parents[2] / "images"


class LookupModule(LookupBase):
    """List images."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        """List the images of a role, the only term."""
        self.set_options(var_options=variables, direct=kwargs)
        evaluate = evaluator(self._templar, variables or {})
        base, platform, images = evaluate(
            ["{{ homeserver_python_image }}", "{{ homeserver_platform }}", "{{ homeserver_images_dir }}"]
        )
        builds = evaluate(components()[terms[0]].get("builds", {}))
        return [
            _described(Image(f"localhost/{name}", source, base, platform, within), Path(images).expanduser())
            for name, (source, within) in ((name, _source(each)) for name, each in builds.items())
        ]


def _source(directory: str) -> tuple[Path, Path | None]:
    """Return the source of an image, and the directory that links in it may lead to; None for an owner's."""
    path = Path(directory).expanduser()
    return (path.resolve(), None) if path.is_absolute() else ((_IMAGES / path).resolve(), _IMAGES)


def _described(image: Image, directory: Path) -> dict[str, Any]:
    try:
        reference = image.reference
        archive = archive_path(image, directory)
    except BuildError as error:
        raise AnsibleLookupError(f"{image.name}: {error}") from error
    return {
        "name": image.name.removeprefix("localhost/"),
        "source": str(image.source),
        "within": str(image.within) if image.within else None,
        "reference": reference,
        "archive": str(archive),
        "built": archive.exists(),
    }
