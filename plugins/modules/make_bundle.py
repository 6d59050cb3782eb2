"""The documentation of the action make_bundle."""

DOCUMENTATION = """
module: make_bundle
short_description: Downloads everything that an installation without internet takes
description:
  - Downloads snaps with their assertions, images and manifests into a directory, and writes their checksums.
  - Runs on the control machine. What an interrupted call has downloaded is not downloaded again.
  - Also uses the logins in C(homeserver_registry_logins).
options:
  directory:
    type: path
    required: true
    description: The directory of the bundle. What only an earlier bundle had in it is removed.
  platform:
    type: str
    required: true
    choices: [linux/amd64, linux/arm64]
    description: What the bundle is for.
  channel:
    type: str
    required: true
    description: Channel of the snap microk8s.
  images:
    type: dict
    required: true
    description:
      - The purpose of each image by its full name.
      - C(microk8s) is loaded before MicroK8s starts, and C(build) on no host.
  manifests:
    type: dict
    required: true
    description: The C(url), C(version) and C(sha256) of each manifest by its name.
  mirrors:
    type: dict
    default: {}
    description: The URL to ask instead of each registry.
  store:
    type: str
    default: https://api.snapcraft.io
    description: The URL of the snap store.
author: The homeserver.stack maintainers (!UNKNOWN)
attributes:
  check_mode:
    support: none
    description: A dry run is skipped.
  diff_mode:
    support: none
    description: It shows no differences.
"""

EXAMPLES = """
- homeserver.stack.make_bundle:
    directory: bundle/arm64
    platform: linux/arm64
    channel: 1.35/stable
    images:
      registry.k8s.io/pause:3.10: microk8s
      docker.io/library/traefik:v3.7.13: ""
    manifests: {}
"""

RETURN = """
directory:
  description: The directory, with its home directory written out.
  type: str
  returned: success
"""
