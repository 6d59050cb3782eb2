"""The documentation of the action import_compose."""

from __future__ import annotations

DOCUMENTATION = """
module: import_compose
short_description: Writes a compose file as apps
description:
  - Translates the services of a compose file to entries of the option C(apps) in the inventory.
  - Prints what was translated, what is different, and what is not possible, and then writes nothing.
options:
  file:
    description: The compose file. The file C(.env) beside it is read, too.
    type: path
    required: true
  directory:
    description: The directory of the inventory in which the file is written, such as C(group_vars/all/apps).
    type: path
    required: true
  app:
    description: Name of the app. The default is the name in the file, or that of its directory.
    type: str
    default: ""
  page:
    description: Port of its page in the container, or C(service:port). The default is guessed.
    type: str
    default: ""
  profiles:
    description: Profiles whose services are included.
    type: list
    elements: str
    default: []
  mirrors:
    description: Mirrors of registries, which are asked for the user of each image.
    type: dict
    default: {}
  replace:
    description: Whether a different file of the same app is replaced.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: It only prints.
  diff_mode:
    support: none
    description: The file may have secrets.
author:
  - The homeserver.stack maintainers (!UNKNOWN)
"""

EXAMPLES = """
- name: Import an app
  homeserver.stack.import_compose:
    file: /srv/wiki/docker-compose.yml
    directory: "{{ inventory_dir }}/group_vars/all/apps"
"""

RETURN = """
file:
  description: The file that was written.
  type: str
  returned: success
apps:
  description: The names of the apps.
  type: list
  elements: str
  returned: success
"""
