"""The module backup_prune."""

from __future__ import annotations

DOCUMENTATION = """
module: backup_prune
short_description: Deletes expired backups of a machine
description:
  - Runs on the control machine, which must have restic.
options:
  host:
    type: str
    required: true
    description: The machine's name in the inventory.
  keep:
    type: dict
    required: true
    description: How many backups of each period are kept, in the format of C(backup_keep).
author: The homeserver.stack maintainers (!UNKNOWN)
attributes:
  check_mode:
    support: full
    description: It only counts.
extends_documentation_fragment: homeserver.stack.repository
"""

EXAMPLES = """
- homeserver.stack.backup_prune:
    location: sftp:owner@nas:/home/attic
    password: "{{ password }}"
    host: attic
    keep: {daily: 7}
"""

RETURN = """
kept:
  description: How many backups were kept.
  type: int
  returned: always
deleted:
  description: How many were deleted.
  type: int
  returned: always
"""

import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils.backup.restic import (
    ARGUMENTS,
    Repository,
    ResticError,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {**ARGUMENTS, "host": {"required": True}, "keep": {"type": "dict", "required": True}},
        supports_check_mode=True,
    )
    params = module.params
    if not shutil.which("restic"):
        module.fail_json(msg="there is no restic on the control machine -> sudo apt-get install restic")
    repository = Repository(params["location"], params["password"], params["environment"])
    try:
        kept, deleted = repository.forget(params["host"], params["keep"], dry=module.check_mode)
    except ResticError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=deleted > 0, kept=kept, deleted=deleted)


if __name__ == "__main__":
    main()
