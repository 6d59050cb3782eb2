"""The lookup plugin objects."""

from __future__ import annotations

DOCUMENTATION = """
name: objects
short_description: Reads objects of the home's cluster
description:
  - Returns all objects of a kind, in all namespaces. The list is empty if the cluster does not know the kind,
    or if there is no cluster yet, as in the first dry run.
options:
  _terms:
    description: The kind.
    type: str
    required: true
  api_version:
    description: The version to read them in.
    type: str
    default: v1
  name:
    description: The name of the only objects to return.
    type: str
    default: ""
"""

EXAMPLES = """
- ansible.builtin.debug:
    msg: "{{ query('homeserver.stack.objects', 'Node') | map(attribute='metadata.name') }}"
"""

RETURN = """
_raw:
  description: The objects.
  type: list
  elements: dict
"""

from functools import cache
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.cluster import (
    ApiError,
    Cluster,
    UnreachableError,
)


class LookupModule(LookupBase):
    """Read objects."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        """Read the objects of a kind, the only term."""
        self.set_options(var_options=variables, direct=kwargs)
        known = variables or {}
        kubeconfig = str(Path(self._templar.template(known["homeserver_kubeconfig"])).expanduser())
        check_mode = bool(known["ansible_check_mode"])
        name = self.get_option("name")
        selectors = (("field_selector", f"metadata.name={name}"),) if name else ()
        return _found(kubeconfig, self.get_option("api_version"), terms[0], selectors, check_mode=check_mode)


# The process of a task evaluates a variable several times.
@cache
def _found(
    kubeconfig: str, api_version: str, kind: str, selectors: tuple[tuple[str, str], ...], *, check_mode: bool
) -> list[Any]:
    if not Path(kubeconfig).exists():
        return []
    try:
        return Cluster(kubeconfig, patient=not check_mode).find(api_version, kind, **dict(selectors))
    except (ApiError, UnreachableError) as error:
        if check_mode:
            return []
        raise AnsibleLookupError(str(error)) from error
