"""The base of the lookup plugins that read an owner's apps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase

_ROLE = Path(__file__).parents[2] / "roles/flask_app"


class AppsLookup(LookupBase):
    """A lookup that reads variables of several roles, of which not all are part of the play."""

    def values(self, names: Iterable[str], variables: dict[str, Any] | None) -> Iterator[Any]:
        """Return the values of variables."""
        # The default of flask_app_apps, and what entries of an owner's may refer to.
        defaults = self._loader.load_from_file(str(_ROLE / "defaults/main.yml"), trusted_as_template=True)
        known = {"traefik_routes": [], **defaults, **(variables or {}), "role_path": str(_ROLE)}
        templar = self._templar.copy_with_new_env(available_variables=known)
        return (templar.template(known[name]) for name in names)
