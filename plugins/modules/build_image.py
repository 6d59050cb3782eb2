"""The module build_image."""

from __future__ import annotations

DOCUMENTATION = """
module: build_image
short_description: Builds a container image on the control machine
description:
  - Builds an image with podman, docker or buildah, whichever is installed, and saves it as an archive.
  - The tag of the image is a hash of its source and its base image, so an unchanged image is not built again.
    Caches, C(.git), virtual environments and files that C(.dockerignore) names are left out.
  - The build gets the arguments C(BASE) and C(REVISION), the hash. A Python source has a
    C(requirements.txt) and a base image named C(python). Its requirements are installed for that Python in
    C(build/site-packages), so its build needs no network. They must be names of packages with wheels. No
    code of a package runs on the control machine.
  - Builds run one after the other, so the module can run in the background and be called again later.
options:
  base:
    description: Reference of the base image.
    type: str
    required: true
  base_archive:
    description: An archive of the base image. Without one the base image is pulled.
    type: path
  directory:
    description: Directory of the archives of built images. Archives of earlier revisions are removed.
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
    description: A directory with a Dockerfile. Links must not leave it.
    type: path
    required: true
  within:
    description: A parent directory that links in the source must not leave, if several sources share files.
    type: path
author: The homeserver.stack maintainers (!UNKNOWN)
attributes:
  check_mode:
    support: full
    description: It builds nothing, and reports whether it would.
"""

EXAMPLES = """
- homeserver.stack.build_image:
    name: localhost/wiki
    source: /home/me/wiki
    base: docker.io/library/python:3.13-slim-trixie
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

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_build import (
    Image,
    archive_path,
    build,
)
from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_builders import BuildError


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
            "within": {"type": "path"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**_build(module.params, check=module.check_mode))
    except BuildError as error:
        module.fail_json(msg=f"{module.params['name']}: {error}")


def _build(params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Build the image if there is no archive of its revision.

    Raises:
        BuildError: it cannot be built.
    """
    within = Path(params["within"]) if params["within"] else None
    image = Image(
        params["name"], Path(params["source"]).resolve(), params["base"], params["platform"], within
    )
    archive = archive_path(image, Path(params["directory"]))
    missing = not archive.exists()
    if missing and not check:
        base = params["base_archive"]
        build(image, archive, Path(base) if base else None)
    return {"reference": image.reference, "archive": str(archive), "changed": missing}


if __name__ == "__main__":
    main()
