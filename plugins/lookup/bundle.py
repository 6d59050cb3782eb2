"""The lookup plugin bundle."""

from __future__ import annotations

DOCUMENTATION = """
name: bundle
short_description: Reads a bundle and verifies it
description:
  - Returns the content of the bundle in a directory on the control machine.
  - Compares every file with its checksum first.
  - Checksums are cached by the size and the modification time of a file, so only the first run is slow.
options:
  _terms:
    description: The directory. Empty gives an empty bundle.
    required: true
"""

EXAMPLES = """
- ansible.builtin.debug:
    msg: "{{ lookup('homeserver.stack.bundle', homeserver_bundle).manifests.traefik_crds }}"
"""

RETURN = """
_raw:
  description:
    - One dictionary with the lists C(snaps) and C(images) as in C(bundle.json),
      C(manifests), the path of each by its name; its C(architecture); and the C(sha256) of C(bundle.json).
    - Every C(file) and C(assertion) is an absolute path.
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.homeserver.stack.plugins.module_utils.registry.bundle import Bundle, read_bundle


class LookupModule(LookupBase):
    """Read a bundle."""

    def run(self, terms: list[str], variables: object = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Read the bundle in the directory, the only term.

        Raises:
            AnsibleLookupError: it cannot be read, or a file does not match the manifest.
        """
        self.set_options(var_options=variables, direct=kwargs)
        if not terms[0]:
            return [Bundle([], [], {})._asdict()]
        bundle, wrong = read_bundle(Path(terms[0]).expanduser())
        if wrong:
            raise AnsibleLookupError(
                "\n".join(["The bundle is incomplete or damaged; make or copy it again:", *wrong])
            )
        return [bundle._asdict()]
