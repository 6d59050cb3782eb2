"""The documentation of the action lock_images."""

DOCUMENTATION = """
module: lock_images
short_description: Locks images to what their tags stand for
description:
  - Asks the registry of each image for the digest that its tag stands for, and writes it into a file,
    which a home installs by.
  - Images that are in the file keep their digest. Once a week a run asks whether their tags have moved.
  - A registry that cannot be asked fails no run. A warning names its images that are not locked.
  - Runs on the control machine. Also uses the logins in C(homeserver_registry_logins).
options:
  file:
    type: path
    required: true
    description: The file. What it has of other images is removed.
  images:
    type: list
    elements: str
    required: true
    description: The names of all images, without the prefix. What has a digest already is left out.
  mirrors:
    type: dict
    default: {}
    description: The URL to ask instead of each registry.
  prefix:
    type: str
    default: ""
    description: What comes before each name when its registry is asked.
  take_moved:
    type: bool
    default: false
    description: Whether to ask for all images, and to lock each to what its tag stands for now.
author: The homeserver.stack maintainers (!UNKNOWN)
attributes:
  check_mode:
    support: partial
    description: A dry run writes nothing. It asks only with O(take_moved).
  diff_mode:
    support: none
    description: It shows no differences.
"""

EXAMPLES = """
- homeserver.stack.lock_images:
    file: "{{ inventory_dir }}/images.lock.yml"
    images: ["docker.io/library/traefik:v3.7.13"]
"""

RETURN = """
moved:
  description: The images whose tags have moved.
  type: list
  elements: str
  returned: success
"""
