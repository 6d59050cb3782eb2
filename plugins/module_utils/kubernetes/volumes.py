"""The place of a PersistentVolume in the cluster."""

from __future__ import annotations

from typing import Any

_HOST_NAME = "kubernetes.io/hostname"


def volume_hosts(volume: dict[str, Any]) -> list[str]:
    """Return the host names of the nodes that a PersistentVolume is limited to; none if it names no host."""
    required = volume["spec"].get("nodeAffinity", {}).get("required", {})
    return [
        value
        for term in required.get("nodeSelectorTerms", [])
        for rule in term.get("matchExpressions", [])
        if rule["key"] == _HOST_NAME and rule["operator"] == "In"
        for value in rule["values"]
    ]
