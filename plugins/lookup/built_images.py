"""The lookup plugin built_images."""

from __future__ import annotations

DOCUMENTATION = """
name: built_images
short_description: Lists the images that were built on the control machine
description:
  - Returns the C(reference) and the C(file) of every image in a directory of the module build_image.
options:
  _terms:
    description: The directory. It need not exist.
    required: true
"""

EXAMPLES = """
- homeserver.stack.load_images:
    images: "{{ query('homeserver.stack.built_images', homeserver_images_dir) }}"
"""

RETURN = """
_raw:
  description: The images.
  type: list
  elements: dict
"""

import json
import tarfile
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """List images."""

    def run(self, terms: list[str], variables: object = None, **kwargs: Any) -> list[dict[str, str]]:
        """List the images in the directory, the only term."""
        self.set_options(var_options=variables, direct=kwargs)
        archives = sorted(Path(terms[0]).expanduser().glob("*.tar"))
        return [{"reference": name, "file": str(file)} for file in archives for name in _references(file)]


def _references(archive: Path) -> list[str]:
    """Return the names in an archive in Docker's format; none for other formats, or while it is replaced."""
    try:
        with tarfile.open(archive) as tar:
            manifest = tar.extractfile("manifest.json")
            images = json.load(manifest) if manifest else []
            return [name for image in images for name in image["RepoTags"] or []]
    except (OSError, KeyError, ValueError, tarfile.TarError):
        return []
