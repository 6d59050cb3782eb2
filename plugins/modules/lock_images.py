"""The documentation of the action lock_images."""

DOCUMENTATION = """
module: lock_images
short_description: Locks images to the digests of their tags
description:
  - Reads the digest of each image's tag from its registry, and writes it to a file. Installations use these
    digests.
  - Images that are in the file keep their digest. Once a week, a run checks whether their tags have moved.
  - An unreachable registry does not fail a run. A warning lists its images that are not locked.
  - Runs on the control machine. Also uses the logins in C(homeserver_registry_logins).
options:
  file:
    type: path
    required: true
    description: The file. Entries of other images are removed.
  images:
    type: list
    elements: str
    required: true
    description: The names of all images, without the prefix. Images with a digest are skipped.
  mirrors:
    type: dict
    default: {}
    description: The URL to use instead of each registry.
  prefix:
    type: str
    default: ""
    description: Prefix of each name for the request to its registry.
  take_moved:
    type: bool
    default: false
    description: Whether to check all images, and to lock each to the current digest of its tag.
author: The homeserver.stack maintainers (!UNKNOWN)
attributes:
  check_mode:
    support: partial
    description: A dry run writes nothing. It only contacts registries with O(take_moved).
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
