"""The documentation of the action compose_data."""

from __future__ import annotations

DOCUMENTATION = """
module: compose_data
short_description: Finds the data of a compose file, and uses its passwords
description:
  - Returns the volumes of its apps with the places that the data of each may be in.
  - The data of a database have its old password, so the passwords of the file replace the generated ones,
    which are kept beside them.
options:
  file:
    description: The compose file.
    type: path
    required: true
  app:
    description: Name of the app, if it was named when the file was imported.
    type: str
    default: ""
  profiles:
    description: Profiles whose services are included.
    type: list
    elements: str
    default: []
  data:
    description: The directory with the data, if they are not beside the file or in the volumes of Docker.
    type: str
    default: ""
  present:
    description: The volumes of the cluster, as M(homeserver.stack.microk8s_cluster) returns them.
    type: list
    elements: dict
    default: []
  without:
    description: Names of claims whose volumes are left as they are.
    type: list
    elements: str
    default: []
  secrets:
    description: The directory of the home's generated passwords.
    type: path
    required: true
  passwords:
    description: Whether to leave passwords as they are, or to use those of the file, or the generated ones.
    type: str
    choices: [keep, file, generated]
    default: keep
attributes:
  check_mode:
    support: full
    description: It changes no password.
  diff_mode:
    support: none
    description: The files are passwords.
author:
  - The homeserver.stack maintainers (!UNKNOWN)
"""

EXAMPLES = """
- name: Find the data
  homeserver.stack.compose_data:
    file: /srv/wiki/docker-compose.yml
    secrets: "{{ homeserver_secrets_dir }}"
    present: "{{ cluster.volumes }}"
"""

RETURN = """
project:
  description: The name of the project in Docker.
  type: str
  returned: success
volumes:
  description:
    - The C(name) of each claim, its C(claim) as namespace/name, its C(node) and its C(path).
    - Also the C(sources) that its data may be in.
  type: list
  elements: dict
  returned: success
"""
