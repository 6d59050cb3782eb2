"""The module backup_volumes."""

from __future__ import annotations

DOCUMENTATION = """
module: backup_volumes
short_description: Fills volumes on this machine from a backup
description:
  - The content of a volume is replaced as a whole, after it was completely read from the backup.
  - Records filled volumes in C(/var/lib/homeserver-backup/restoring), and does not fill them again.
options:
  id:
    type: str
    required: true
    description: This machine's backup, which identifies an interrupted restore.
  volumes:
    type: list
    elements: dict
    required: true
    description: The volumes.
    suboptions:
      name:
        type: str
        required: true
        description: The name that the volume had.
      claim:
        type: str
        required: true
        description: Its claim, as namespace/name.
      source:
        type: str
        required: true
        description: The directory that it had.
      path:
        type: str
        required: true
        description: The directory that it has now.
      id:
        type: str
        required: true
        description: The backup with its data, which may be another machine's.
      time:
        type: str
        required: true
        description: When that backup was made.
      location:
        type: str
        description: The repository with that backup, if it is a different one.
      password:
        type: str
        description: Its password.
  overwrite:
    type: bool
    default: false
    description: Whether to replace files that were changed after the backup.
  compared:
    type: bool
    default: false
    description: Whether to only look for files that were changed after the backup.
author: The homeserver.stack maintainers (!UNKNOWN)
attributes:
  check_mode:
    support: full
    description: It fills no volume.
extends_documentation_fragment: homeserver.stack.repository
"""

EXAMPLES = """
- homeserver.stack.backup_volumes:
    location: /mnt/backup
    password: "{{ password }}"
    id: "{{ save.id }}"
    volumes:
      - id: "{{ save.id }}"
        time: "{{ save.time }}"
        name: pvc-1
        claim: apps/wiki-data
        source: /var/snap/microk8s/common/default-storage/apps-wiki-data-pvc-1
        path: /var/snap/microk8s/common/default-storage/apps-wiki-data-pvc-1
"""

RETURN = """
filled:
  description: The claims whose volumes were filled by this run.
  type: list
  elements: str
  returned: always
left_out:
  description: The paths that were not restored because they are links among copies or conflict with one.
  type: list
  elements: str
  returned: always
todo:
  description: The claims whose volumes were not filled when the module started.
  type: list
  elements: str
  returned: always
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils.backup.restic import (
    ARGUMENTS,
    Repository,
    ResticError,
    Save,
)
from ansible_collections.homeserver.stack.plugins.module_utils.backup.volumes import (
    Progress,
    Volume,
    fill,
    newer,
)

_SHOWN = 5


def main() -> None:
    """Run the module."""
    volume: dict[str, dict[str, Any]] = {
        **{name: {"required": True} for name in ("name", "claim", "source", "path", "id", "time")},
        "location": {},
        "password": {"no_log": True},
    }
    module = AnsibleModule(
        {
            **ARGUMENTS,
            "id": {"required": True},
            "volumes": {"type": "list", "elements": "dict", "options": volume, "required": True},
            "overwrite": {"type": "bool", "default": False},
            "compared": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params
    progress = Progress()
    record = progress.read()
    filled = record.get("filled", []) if record.get("save") == params["id"] else []
    todo = [each for each in params["volumes"] if each["claim"] not in filled]
    if not params["overwrite"] and (refusal := _refusal(todo)):
        module.fail_json(msg=refusal)
    left_out: list[str] = []
    if not (params["compared"] or module.check_mode):
        progress.begin(params["id"])
        try:
            for each in todo:
                left_out += [
                    f"{each['claim']}: {_shown(path)}"
                    for path in fill(_repository(params, each), _save(each), _volume(each))
                ]
                progress.note(each["claim"])
        except ResticError as error:
            module.fail_json(msg=f"{error}\nRun the same again: volumes that are filled already are skipped.")
    for path in left_out:
        module.warn(f"not restored: {path}, because it is a link, or in the way of a saved database")
    claims = [] if params["compared"] else [each["claim"] for each in todo]
    module.exit_json(
        changed=bool(claims), filled=claims, todo=[each["claim"] for each in todo], left_out=left_out
    )


def _repository(params: dict[str, Any], volume: dict[str, Any]) -> Repository:
    given = volume if volume["location"] else params
    return Repository(given["location"], given["password"], params["environment"])


def _save(given: dict[str, str]) -> Save:
    return Save(given["id"], "", given["time"])


def _volume(given: dict[str, str]) -> Volume:
    return Volume(given["name"], given["claim"], given["source"], given["path"])


def _refusal(volumes: list[dict[str, str]]) -> str:
    """Return a message about volumes that would lose data, or an empty text."""
    found = [(each, changed) for each in volumes if (changed := newer(_volume(each), _save(each)))]
    if not found:
        return ""
    lines = [
        f"  {changed.claim}: {_shown(changed.file)}, changed at "
        f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(changed.seconds))}, saved at {each['time'][:16]}"
        for each, changed in found[:_SHOWN]
    ]
    if len(found) > _SHOWN:
        lines.append(f"  and {len(found) - _SHOWN} more volumes")
    return "\n".join(
        [
            "there are newer data here than in the backup, which would be lost:",
            *lines,
            "-> if this is intended: -e restore_overwrite=true",
        ]
    )


def _shown(path: str) -> str:
    """Escape a path for a single line, because apps can use any file name."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in path)


if __name__ == "__main__":
    main()
