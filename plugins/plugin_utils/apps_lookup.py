"""The base of the lookup plugins that read an owner's apps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.lookup import LookupBase
from ansible_collections.homeserver.stack.plugins.module_utils import catalogue

from .role_defaults import role_defaults

IMPORTED = "imported_apps_"
"""The beginning of the variables that playbooks/import_compose.yml writes."""

_CATALOGUE = Path(__file__).parents[2] / "roles/apps/catalogue"


@cache
def known_apps() -> dict[str, Any]:
    """Return the content of each file of the catalogue, by the name of its app."""
    loader = DataLoader()
    return {
        file.stem: loader.load_from_file(str(file), trusted_as_template=True)
        for file in sorted(_CATALOGUE.glob("*.yml"))
    }


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
        """Return the entries of apps, with those of the catalogue, and of imported compose files."""
        imported = sorted(name for name in variables or {} if name.startswith(IMPORTED))
        entries = (app for entries in self.values(["apps", *imported], variables) for app in entries)
        return [app for entry in entries for app in self._with_stack(entry, variables)]

    def _with_stack(self, entry: dict[str, Any], variables: dict[str, Any] | None) -> list[Any]:
        """Return an entry, or the stack of the catalogue that it names."""
        if "from" not in entry:
            return [entry]
        known = known_apps()
        if entry["from"] not in known:
            raise AnsibleLookupError(catalogue.unknown(entry["from"], list(known)))
        domain, secrets = self.values(["homeserver_domain", "homeserver_secrets_dir"], variables)
        own = catalogue.context(entry, domain, secrets) | {"_stack": known[entry["from"]]["apps"]}
        (stack,) = self.values(["_stack"], (variables or {}) | own)
        return catalogue.merged(stack, entry)
