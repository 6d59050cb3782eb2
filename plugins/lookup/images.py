"""The lookup plugin images."""

from __future__ import annotations

DOCUMENTATION = """
name: images
short_description: Names images by what they are built from
description:
  - Returns the C(name), C(source), C(reference) and C(archive) of every image, and whether it is C(built).
  - The tag in the reference is a hash of its source and its base image, as the module build_image makes it.
options:
  _terms:
    description: The directory of each image's source, by the image's name.
    type: dict
    required: true
  base:
    description: Reference of the base image.
    type: str
    required: true
  directory:
    description: Directory of the archives of built images.
    type: str
    required: true
  platform:
    description: Operating system and architecture of the machines the images are for.
    type: str
    required: true
  within:
    description: A directory around the sources that their links may lead to.
    type: str
"""

EXAMPLES = """
- ansible.builtin.debug:
    msg: "{{ query('homeserver.stack.images', sources, base=base, platform=platform, directory='/tmp') }}"
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
from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_build import Image, archive_path
from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_builders import BuildError


class LookupModule(LookupBase):
    """Name images."""

    def run(
        self, terms: list[dict[str, str]], variables: object = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """Name the images of the sources, which are the only term."""
        self.set_options(var_options=variables, direct=kwargs)
        return [self._image(name, Path(source)) for name, source in terms[0].items()]

    def _image(self, name: str, source: Path) -> dict[str, Any]:
        base, platform, within = (self.get_option(option) for option in ("base", "platform", "within"))
        image = Image(
            f"localhost/{name}",
            source.expanduser().resolve(),
            base,
            platform,
            Path(within).expanduser() if within else None,
        )
        try:
            reference = image.reference
            archive = archive_path(image, Path(self.get_option("directory")).expanduser())
        except BuildError as error:
            raise AnsibleLookupError(f"{image.name}: {error}") from error
        return {
            "name": name,
            "source": str(image.source),
            "reference": reference,
            "archive": str(archive),
            "built": archive.exists(),
        }
