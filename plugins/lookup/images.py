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
from ansible.template import Templar, trust_as_template
from ansible_collections.homeserver.stack.plugins.module_utils.components import components
from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_build import Image, archive_path
from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_builders import BuildError
from ansible_collections.homeserver.stack.plugins.plugin_utils.role_defaults import role_defaults

_IMAGES = Path(__file__).parents[2] / "images"


class LookupModule(LookupBase):
    """List images."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        """List the images of a role, the only term."""
        self.set_options(var_options=variables, direct=kwargs)
        # In the role common, that of another is not seen with all that it depends on.
        known = role_defaults(self._loader, terms[0]) | (variables or {})
        templar = self._templar.copy_with_new_env(available_variables=known)
        base, platform, directory = (
            templar.template(known[name])
            for name in ("homeserver_python_image", "homeserver_platform", "homeserver_images_dir")
        )
        return [
            _described(
                Image(f"localhost/{name}", source, base, platform, within), Path(directory).expanduser()
            )
            for name, source, within in _sources(components()[terms[0]].get("builds", {}), templar)
        ]


def _sources(builds: dict[str, str] | str, templar: Templar) -> list[tuple[str, Path, Path | None]]:
    """Return the name of each image, its source, and the directory that links in it may lead to."""
    if isinstance(builds, str):
        given = templar.template(trust_as_template(builds))
        return [(name, Path(path).expanduser().resolve(), None) for name, path in given.items()]
    return [(name, (_IMAGES / directory).resolve(), _IMAGES) for name, directory in builds.items()]


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
