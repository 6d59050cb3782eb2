"""The lookup plugin directories."""

from __future__ import annotations

DOCUMENTATION = """
name: directories
short_description: Reads all files of directories at once
description:
  - Returns the content of every file in directories on the control machine, except hidden ones.
  - For small files, such as those of an inventory.
options:
  _terms:
    description: One dictionary of directories, by the prefix for their files' names. They need not exist.
    required: true
  largest_mib:
    description: Maximum size of all files together, in MiB.
    type: int
    default: 32
"""

EXAMPLES = """
- ansible.builtin.set_fact:
    files: "{{ lookup('homeserver.stack.directories', {'home': inventory_dir}) }}"
"""

RETURN = """
_raw:
  description: One dictionary with the content of each file, in base64, by its name.
  type: list
  elements: dict
"""

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """Read directories."""

    def run(
        self, terms: list[dict[str, str]], variables: object = None, **kwargs: Any
    ) -> list[dict[str, str]]:
        """Read the files in the directories, the only term."""
        self.set_options(var_options=variables, direct=kwargs)
        found = {
            f"{name}/{path.relative_to(directory)}": path
            for name, directory in terms[0].items()
            for path in _files(Path(directory))
        }
        size = sum(path.stat().st_size for path in found.values())
        if size > self.get_option("largest_mib") * 2**20:
            places = ", ".join(terms[0].values())
            raise AnsibleLookupError(
                f"the files in {places} have {size // 2**20} MiB together"
                f" (expected at most {self.get_option('largest_mib')}): move files that do not belong to the"
                " inventory"
            )
        return [{name: base64.b64encode(path.read_bytes()).decode() for name, path in sorted(found.items())}]


def _files(directory: Path) -> Iterator[Path]:
    seen = set()
    for parent, folders, names in os.walk(directory, followlinks=True):
        seen.add(os.path.realpath(parent))
        folders[:] = [
            name
            for name in folders
            if not name.startswith((".", "__pycache__")) and os.path.realpath(Path(parent, name)) not in seen
        ]
        yield from (
            path for name in names if not name.startswith(".") and (path := Path(parent, name)).is_file()
        )
