"""The lookup plugin secret."""

from __future__ import annotations

DOCUMENTATION = """
name: secret
short_description: Reads a generated secret, and creates it if it does not exist
description:
  - Returns the content of a file on the control machine, without trailing white space.
  - If the file does not exist, creates it with 32 random letters and digits, readable by its owner only. It
    is written atomically, even if the run is interrupted.
  - In check mode no file is created. If it does not exist, the lookup returns a secret that is not stored.
  - A file that is too short is an error, because a lost password must not be replaced with one that is easy
    to guess.
options:
  _terms:
    description: The file.
    required: true
  minimum:
    description: Minimum number of characters in the file.
    type: int
    default: 8
"""

EXAMPLES = """
- ansible.builtin.set_fact:
    password: "{{ lookup('homeserver.stack.secret', homeserver_secrets_dir ~ '/grafana_admin.password') }}"
"""

RETURN = """
_raw:
  description: The secret.
  type: list
  elements: str
"""

import os
import secrets
import string
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

LENGTH = 32


class LookupModule(LookupBase):
    """Read or create a secret."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Read the file, the only term."""
        self.set_options(var_options=variables, direct=kwargs)
        file = Path(terms[0])
        if not file.exists():
            made = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(LENGTH))
            if (variables or {}).get("ansible_check_mode"):
                return [made]
            _create(file, made)
        return [_read(file, self.get_option("minimum"))]


def _read(file: Path, minimum: int) -> str:
    try:
        secret = file.read_text().rstrip()
    except (OSError, UnicodeDecodeError) as error:
        raise AnsibleLookupError(f"the secret {file} cannot be read: {error}") from None
    if len(secret) < minimum:
        raise AnsibleLookupError(
            f"the secret {file} has {len(secret)} characters, and at least {minimum} are needed: "
            "restore the file from a backup, or delete it, and the next run makes a new one"
        )
    return secret


def _create(file: Path, secret: str) -> None:
    """Write a file atomically, unless another process was faster."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # for its owner alone
    try:
        with os.fdopen(handle, "w") as writing:
            writing.write(f"{secret}\n")
            writing.flush()
            os.fsync(writing.fileno())
        with suppress(FileExistsError):
            os.link(beside, file)
    finally:
        Path(beside).unlink()
