"""The module build_image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.image_build import BuildError, Image, archive_path, build

DOCUMENTATION = """
module: build_image
short_description: Build a container image on the machine it runs on, which is to be the control machine
description:
  - Builds an image with whichever of podman, docker and buildah is there, and saves it as an archive.
  - The image's tag is a hash of its source and its base image, so that what did not change is not built
    again. Caches, C(.git), virtual environments and what C(.dockerignore) names count as nothing.
  - The build gets the arguments C(BASE) and C(REVISION), the hash. For a Python source, one with a
    C(requirements.txt) and a base image called C(python), it finds all packages required, installed
    for that Python, in C(build/site-packages), and so needs no network.
  - Images are built one after the other, so that it may be left in the background and asked again later.
options:
  base:
    description: Reference of the base image.
    type: str
    required: true
  base_archive:
    description: An archive of the base image; without one it is pulled.
    type: path
  directory:
    description: Where the archives of built images are kept; those of earlier revisions are removed.
    type: path
    required: true
  name:
    description: Name of the image, without a tag.
    type: str
    required: true
  platform:
    description: Operating system and architecture of the machines the image is for.
    type: str
    choices: [linux/amd64, linux/arm64]
    default: linux/amd64
  source:
    description: A directory with a Dockerfile.
    type: path
    required: true
author: The homeserver.stack maintainers
attributes:
  check_mode:
    support: full
"""

EXAMPLES = """
- homeserver.stack.build_image:
    name: localhost/wiki
    source: /home/me/wiki
    base: docker.io/library/python:3.11-slim-bookworm
    directory: /home/me/.cache/images
"""

RETURN = """
reference:
  description: Name of the image with its tag.
  type: str
  returned: always
archive:
  description: Path of the archive of the image.
  type: str
  returned: always
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "base": {"type": "str", "required": True},
            "base_archive": {"type": "path"},
            "directory": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "platform": {"type": "str", "choices": ["linux/amd64", "linux/arm64"], "default": "linux/amd64"},
            "source": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**_build(module.params, check=module.check_mode))
    except BuildError as error:
        module.fail_json(msg=f"{module.params['name']}: {error}")


def _build(params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Name the image after its content, and build it if there is no archive of that name.

    Raises:
        BuildError: it cannot be built.
    """
    image = Image(params["name"], Path(params["source"]).resolve(), params["base"], params["platform"])
    archive = archive_path(image, Path(params["directory"]))
    missing = not archive.exists()
    if missing and not check:
        base = params["base_archive"]
        build(image, archive, Path(base) if base else None)
    return {"reference": image.reference, "archive": str(archive), "changed": missing}


if __name__ == "__main__":
    main()
