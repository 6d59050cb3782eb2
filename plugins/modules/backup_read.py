"""The module backup_read."""

from __future__ import annotations

DOCUMENTATION = """
module: backup_read
short_description: Writes a directory of a backup into an archive that only root can read
description:
  - Restores one directory of one backup with restic, and packs it into a tar archive.
  - The archive is written atomically, and only its owner, root, can read it.
options:
  id:
    type: str
    required: true
    description: The backup.
  path:
    type: str
    required: true
    description: The directory.
  dest:
    type: path
    required: true
    description: The tar archive to write.
author: The homeserver.stack maintainers (!UNKNOWN)
attributes:
  check_mode:
    support: full
    description: It writes nothing.
extends_documentation_fragment: homeserver.stack.repository
"""

EXAMPLES = """
- homeserver.stack.backup_read:
    location: /mnt/backup
    password: "{{ password }}"
    id: "{{ save.id }}"
    path: /var/lib/homeserver-backup/control
    dest: /var/lib/homeserver-backup/control.tar
"""

RETURN = "{}"

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils.backup.restic import (
    ARGUMENTS,
    Repository,
    ResticError,
    Save,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            **ARGUMENTS,
            "id": {"required": True},
            "path": {"required": True},
            "dest": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    if not module.check_mode:
        repository = Repository(params["location"], params["password"], params["environment"])
        dest = Path(params["dest"])
        dest.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(dest, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                repository.archive(Save(params["id"], "", ""), params["path"], file)
        except ResticError as error:
            dest.unlink()
            module.fail_json(msg=str(error))
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
