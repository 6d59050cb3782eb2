"""The lookup plugin image_lock."""

from __future__ import annotations

DOCUMENTATION = """
name: image_lock
short_description: Reads the digests that images are locked to
description:
  - Returns the digest of each image that the action lock_images has locked, by the name of the image.
options:
  _terms:
    description: The file. It need not exist.
    required: true
"""

EXAMPLES = """
- ansible.builtin.debug:
    msg: "{{ lookup('homeserver.stack.image_lock', inventory_dir ~ '/images.lock.yml') }}"
"""

RETURN = """
_raw:
  description: One dictionary.
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_lock import LockError, read_lock


class LookupModule(LookupBase):
    """Read a lock."""

    def run(self, terms: list[str], variables: object = None, **kwargs: Any) -> list[dict[str, str]]:
        """Read the file, the only term.

        Raises:
            AnsibleLookupError: it is not a lock, or cannot be read.
        """
        self.set_options(var_options=variables, direct=kwargs)
        try:
            return [dict(read_lock(Path(terms[0])))]
        except LockError as error:
            raise AnsibleLookupError(str(error)) from error
        except OSError as error:
            raise AnsibleLookupError(f"{terms[0]} cannot be read: {error.strerror}") from error
