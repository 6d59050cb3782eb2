"""The module backup_inventory."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: backup_inventory
short_description: Puts the inventory and the secrets of a backup where they were
description:
  - A file that is there and differs is kept beside, with C(.orig) behind its name.
  - The list of hosts is not replaced, since it has the addresses of today. The saved one is put beside it.
options:
  src:
    type: path
    required: true
    description: The archive that the module backup_read wrote.
  dest:
    type: path
    required: true
    description: The directory of the inventories.
  hosts:
    type: path
    default: ""
    description: The list of hosts.
author: The homeserver.stack maintainers
attributes:
  check_mode:
    support: full
    description: It writes nothing.
"""

EXAMPLES = """
- homeserver.stack.backup_inventory:
    src: /tmp/control.tar
    dest: inventory
    hosts: inventory/home/hosts.yml
"""

RETURN = """
written:
  description: The files that were written.
  type: list
  elements: str
  returned: always
replaced:
  description: Those in whose place there was another one.
  type: list
  elements: str
  returned: always
kept:
  description: Those that were not replaced.
  type: list
  elements: str
  returned: always
"""

_ABOVE = "control/inventory/"
_BESIDE = ".orig"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "src": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "hosts": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params
    dest = Path(params["dest"]).resolve()
    found: dict[str, list[str]] = {"written": [], "replaced": [], "kept": []}
    for path, content in _files(Path(params["src"])):
        file = dest / path
        if dest not in file.resolve().parents:
            module.fail_json(msg=f"the backup has a file outside of the inventory: {path}")
        outcome = _outcome(file, content, Path(params["hosts"]).resolve())
        if outcome and not module.check_mode:
            _write(file, content, outcome)
        if outcome:
            found[outcome].append(str(file))
    if not any(found.values()) and not _has_files(Path(params["src"])):
        module.fail_json(msg="the backup has no inventory: it is not of a founder, or was not complete")
    module.exit_json(changed=any(found.values()), **found)


def _files(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Return the files with their paths below the directory of the inventories."""
    with tarfile.open(archive) as members:
        for member in members:
            path = member.name.rpartition(_ABOVE)[2] if _ABOVE in member.name else ""
            content = members.extractfile(member) if path and member.isfile() else None
            if content:
                yield path, content.read()


def _has_files(archive: Path) -> bool:
    return next(_files(archive), None) is not None


def _outcome(file: Path, content: bytes, hosts: Path) -> str:
    """Say what becomes of a file; an empty text for nothing."""
    if not file.exists():
        return "written"
    if file.read_bytes() == content:
        return ""
    return "kept" if file.resolve() == hosts else "replaced"


def _write(file: Path, content: bytes, outcome: str) -> None:
    beside = file.with_name(file.name + _BESIDE)
    if outcome == "replaced":
        file.replace(beside)
    place = beside if outcome == "kept" else file
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(content)


if __name__ == "__main__":
    main()
