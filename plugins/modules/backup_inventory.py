"""The module backup_inventory."""

from __future__ import annotations

DOCUMENTATION = """
module: backup_inventory
short_description: Restores the inventory and the secrets from a backup
description:
  - They are encrypted. Files that this home's control machine did not write are rejected.
  - An existing file that differs is kept in the same directory, with the suffix C(.orig).
  - The list of hosts is not replaced, because it has the present addresses. The saved one is put next to it.
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
  password:
    type: str
    required: true
    description: The password of all backups.
  plain:
    type: bool
    default: false
    description: Whether to accept files that are not encrypted, which any machine could have written.
author: The homeserver.stack maintainers (!UNKNOWN)
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
    password: "{{ password }}"
"""

RETURN = """
written:
  description: The files that were written.
  type: list
  elements: str
  returned: always
replaced:
  description: The files that replaced a different one.
  type: list
  elements: str
  returned: always
kept:
  description: The files that were not replaced.
  type: list
  elements: str
  returned: always
"""

import base64
import os
import re
import tarfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils.backup.keys import SealError, unsealed

_SEALED = "control/sealed"
_ABOVE = "control/inventory/"  # of unencrypted files
_SHOWN = re.compile(r"(?!secrets/)[^/]+/([^/]+$|(group|host)_vars/)")
"""The files that Ansible reads as an inventory."""
_BESIDE = ".orig"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "src": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "hosts": {"type": "path", "default": ""},
            "password": {"required": True, "no_log": True},
            "plain": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params
    dest = Path(params["dest"]).resolve()
    found: dict[str, list[str]] = {"written": [], "replaced": [], "kept": []}
    try:
        files = _files(Path(params["src"]), params["password"], plain=params["plain"])
    except (SealError, ImportError) as error:
        module.fail_json(msg=str(error))
    for path in files:
        if dest not in (dest / path).resolve().parents:
            module.fail_json(msg=f"the backup has a file outside of the inventory: {path}")
    for path, content in files.items():
        file = dest / path
        outcome = _outcome(file, content, Path(params["hosts"]).resolve())
        if outcome and not module.check_mode:
            _write(file, content, outcome)
        if outcome:
            found[outcome].append(str(file))
    module.exit_json(changed=any(found.values()), **found)


def _files(archive: Path, password: str, *, plain: bool) -> dict[str, bytes]:
    """Return the files with their paths below the directory of the inventories.

    Raises:
        SealError: there are none, or none that this home is known to have written.
    """
    archived = _archived(archive)
    sealed = next((text for name, text in archived.items() if name.endswith(_SEALED)), None)
    if sealed is not None:
        files = unsealed(sealed.decode(errors="replace"), password)
        return {name: base64.b64decode(content) for name, content in files.items()}
    found = {name.rpartition(_ABOVE)[2]: content for name, content in archived.items() if _ABOVE in name}
    if not found:
        raise SealError("the backup has no inventory: it is not from a founder, or is incomplete")
    if not plain:
        raise SealError(_shown(found))
    return found


def _archived(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as members:
        return {
            member.name: content.read()
            for member in members
            if member.isfile() and (content := members.extractfile(member))
        }


def _shown(files: dict[str, bytes]) -> str:
    """Describe the content that anyone with write access to the backup may have written."""
    read = [
        f"---- {_printable(name)}\n{_printable(content.decode(errors='replace'))}"
        for name, content in files.items()
        if _SHOWN.match(name)
    ]
    return "\n".join(
        [
            "the backup has settings and secrets that are not encrypted, as earlier checkouts wrote them, and"
            " every machine of the home could have changed them. Ansible would run their expressions.",
            *(f"  {_printable(name)}" for name in sorted(files)),
            *read,
            "-> read them; if they are yours: -e restore_plain=true",
        ]
    )


def _printable(text: str) -> str:
    """Return a text without characters that a terminal hides or interprets."""
    return "".join(each if each.isprintable() or each in "\n\t" else "\ufffd" for each in text)


def _outcome(file: Path, content: bytes, hosts: Path) -> str:
    """Return what happens to a file; an empty text for nothing."""
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
    for directory in reversed([place.parent, *place.parent.parents]):
        directory.mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(content)


if __name__ == "__main__":
    main()
