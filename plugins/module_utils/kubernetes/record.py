"""The kinds of objects of an application, so a run lists only these instead of all kinds.

kubectl does the same for its ApplySets (KEP-3659). Without a record, all kinds are listed.
"""

from __future__ import annotations

from collections.abc import Set

from .cluster import Cluster
from .objects import (
    MANAGED_BY,
    MANAGER,
    Object,
)


class Record:
    """The record of one application, in a ConfigMap.

    Attributes:
        kinds: names such as Deployment.apps; None if there is no record yet.
    """

    def __init__(self, cluster: Cluster, application: str):
        """Read the record."""
        self._cluster = cluster
        name = f"homeserver-{application.replace('_', '-')}"
        self._object: Object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "kube-system", "labels": {MANAGED_BY: MANAGER}},
        }
        found = cluster.get(self._object)
        self.kinds = frozenset((found.get("data") or {}).get("kinds", "").split()) if found else None

    def add(self, kinds: Set[str]) -> None:
        """Record more kinds before their objects are applied, in case the run is interrupted."""
        if self.kinds is not None and not kinds <= self.kinds:
            self.replace(kinds | self.kinds)

    def replace(self, kinds: Set[str]) -> None:
        """Record exactly these kinds, which have objects."""
        if kinds != self.kinds:
            self._cluster.apply({**self._object, "data": {"kinds": " ".join(sorted(kinds))}}, dry_run=False)
            self.kinds = frozenset(kinds)

    def remove(self) -> None:
        """Remove the record."""
        if self.kinds is not None:
            self._cluster.delete(self._object)
            self.kinds = None
