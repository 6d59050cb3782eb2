"""The documentation of the action make_bundle."""

DOCUMENTATION = """
module: make_bundle
short_description: Downloads everything for an installation without internet
description:
  - Downloads snaps with their assertions, images and manifests into a directory, and writes their checksums.
  - Runs on the control machine. An interrupted call can be repeated, and resumes the download.
  - Also uses the logins in C(homeserver_registry_logins).
options:
  directory:
    type: path
    required: true
    description: The directory of the bundle. Files that only an earlier bundle needed are removed.
  platform:
    type: str
    required: true
    choices: [linux/amd64, linux/arm64]
    description: The platform that the bundle is for.
  channel:
    type: str
    required: true
    description: Channel of the snap microk8s.
  images:
    type: dict
    required: true
    description:
      - The purpose of each image by its full name.
      - Images for C(microk8s) are loaded before MicroK8s starts. Images for C(build) are not loaded on hosts.
  manifests:
    type: dict
    required: true
    description: The C(url), C(version) and C(sha256) of each manifest by its name.
  mirrors:
    type: dict
    default: {}
    description: The URL to use instead of each registry.
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
  description: The directory, with C(~) expanded.
  type: str
  returned: success
"""
