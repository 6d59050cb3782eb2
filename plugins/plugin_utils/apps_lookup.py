"""The base of the lookup plugins that read an owner's apps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ansible.plugins.lookup import LookupBase

from .role_defaults import role_defaults

IMPORTED = "imported_apps_"
"""The beginning of the variables that playbooks/import_compose.yml writes."""


class AppsLookup(LookupBase):
    """A lookup that reads variables of several roles, even if a role is not part of the play."""

    def values(self, names: Iterable[str], variables: dict[str, Any] | None) -> Iterator[Any]:
        """Return the values of variables."""
        # The default of apps, and variables that an owner's entries may refer to.
        defaults = role_defaults("apps")
        known = {"traefik_routes": [], **defaults, **(variables or {}), "role_path": defaults["role_path"]}
        templar = self._templar.copy_with_new_env(available_variables=known)
        return (templar.template(known[name]) for name in names)

    def apps(self, variables: dict[str, Any] | None) -> list[Any]:
        """Return the entries of the option apps, and those that playbooks/import_compose.yml has written."""
        imported = sorted(name for name in variables or {} if name.startswith(IMPORTED))
        return [app for entries in self.values(["apps", *imported], variables) for app in entries]
