"""The module backup_find."""

from __future__ import annotations

DOCUMENTATION = """
module: backup_find
short_description: Finds the backup from which to restore a machine
description:
  - If a restore was interrupted on this machine, returns the backup of that restore.
  - If the machine's own repository has no such backup, also searches the former shared repository of all
    machines, provided that O(shared_password) is set.
  - Changes nothing, neither on the machine nor in the repository.
options:
  host:
    type: str
    required: true
    description: The machine's name in the inventory when the backup was made.
  at:
    type: str
    default: ""
    description: A day or a time. Returns the newest backup up to then. The default is the newest backup.
  shared_location:
    type: str
    default: ""
    description: The former shared repository of all machines.
  shared_password:
    type: str
    default: ""
    description: Its password, which opens the backups of all machines.
  required:
    type: bool
    default: true
    description: Whether it is an error if there is none.
  resumed:
    type: bool
    default: true
    description: Whether to continue an interrupted restore.
author: The homeserver.stack maintainers (!UNKNOWN)
extends_documentation_fragment: [homeserver.stack.repository, homeserver.stack.read_only]
"""

EXAMPLES = """
- homeserver.stack.backup_find:
    location: /mnt/backup
    password: "{{ password }}"
    host: home
    at: "2026-11-20"
  register: save
"""

RETURN = """
id:
  description: The backup's identifier; empty if there is none.
  type: str
  returned: always
time:
  description: When it was made.
  type: str
  returned: always
shared:
  description: Whether it is in the shared repository of all machines.
  type: bool
  returned: always
directories:
  description: The names of the volume directories in it.
  type: list
  elements: str
  returned: always
copies:
  description: The names of the volumes that include copies made for the backup.
  type: list
  elements: str
  returned: always
volumes:
  description: All volumes of the cluster when the backup was made. Only the founder's backup contains them.
  type: list
  elements: dict
  returned: always
"""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils.backup.restic import (
    ARGUMENTS,
    NotFoundError,
    Repository,
    ResticError,
    Save,
    chosen,
    missing,
)
from ansible_collections.homeserver.stack.plugins.module_utils.backup.volumes import (
    DIRECTORY,
    STORAGE,
    Progress,
)

_OR_SHARED = (
    "If all machines were saved to one repository then, as earlier checkouts did:"
    " -e restore_shared_passwords=true"
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            **ARGUMENTS,
            "host": {"required": True},
            "at": {"default": ""},
            "shared_location": {"default": ""},
            "shared_password": {"default": "", "no_log": True},
            "required": {"type": "bool", "default": True},
            "resumed": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    try:
        found = _find(module.params)
    except ResticError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


def _find(params: dict[str, Any]) -> dict[str, Any]:
    own = Repository(params["location"], params["password"], params["environment"])
    shared = Repository(params["shared_location"], params["shared_password"], params["environment"])
    read, absent = _read([own, shared] if shared.password else [own])
    picks: tuple[Callable[[list[Save]], Save | None], ...] = (
        lambda saves: _begun(saves, params["at"]) if params["resumed"] else None,
        lambda saves: chosen(saves, params["host"], params["at"]),
    )
    for pick, (repository, saves) in itertools.product(picks, read):
        if save := pick(saves):
            return {**_described(repository, save), "shared": repository is shared}
    if params["required"]:
        raise ResticError(_refusal(params, read, absent))
    return {"id": "", "time": "", "shared": False, "directories": [], "copies": [], "volumes": []}


def _read(repositories: list[Repository]) -> tuple[list[tuple[Repository, list[Save]]], str]:
    """Return the backups in the existing repositories, and the error of the last missing one."""
    found, said = [], ""
    for each in repositories:
        try:
            found.append((each, each.saves()))
        except NotFoundError as error:
            said = str(error)
    return found, said


def _refusal(params: dict[str, Any], read: list[tuple[Repository, list[Save]]], absent: str) -> str:
    if not read:
        why = f"{absent}{_beside(params['location'])}"
    else:
        repository, saves = read[-1]
        why = missing(saves, params["host"], params["at"], repository.location)
    return why if params["shared_password"] else f"{why}\n{_OR_SHARED}"


def _beside(location: str) -> str:
    """List the machines that have a repository in the same directory."""
    names = sorted(path.parent.name for path in Path(location).parent.glob("*/config"))
    if not location.startswith("/") or not names:
        return ""
    return (
        f"\nThere are repositories of {', '.join(names)}"
        f" -> give the machine in the inventory the name that it had, such as {names[0]}"
    )


def _begun(saves: list[Save], at: str) -> Save | None:
    """Return the backup whose restore was interrupted on this machine.

    Raises:
        ResticError: the caller requests a different backup.
    """
    begun = Progress().read().get("save")
    save = next((each for each in saves if each.id == begun), None)
    if save and at and chosen([save], save.host, at) is None:
        raise ResticError(
            f"at={at}: the restore of {save} is not finished -> run it again without at=, "
            f"or give it up: rm {DIRECTORY}/restoring on {save.host}"
        )
    return save


def _described(repository: Repository, save: Save) -> dict[str, Any]:
    cluster = str(DIRECTORY / "cluster")
    listed = "volumes.json" in repository.names(save, cluster)
    return {
        "id": save.id,
        "time": save.time,
        "directories": sorted(repository.names(save, str(STORAGE))),
        "copies": sorted(repository.names(save, str(DIRECTORY / "volumes"))),
        "volumes": json.loads(repository.read(save, f"{cluster}/volumes.json")) if listed else [],
    }


if __name__ == "__main__":
    main()
