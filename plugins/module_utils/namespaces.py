"""The namespaces of components."""

from __future__ import annotations

from typing import Any

from .components import Value, own_namespaces

_POD_SECURITY = "pod-security.kubernetes.io"


def namespaces(role: str, value: Value) -> list[dict[str, Any]]:
    """Return the Namespaces that a component creates."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": _labels(level)},
        }
        for name, level in own_namespaces(role, value).items()
    ]


def _labels(level: str) -> dict[str, str]:
    """Return the labels of a Pod Security Standard. With a lower one, no warning names `restricted`."""
    modes = ["enforce"] if level == "restricted" else ["enforce", "warn"]
    return {f"{_POD_SECURITY}/{mode}": level for mode in modes}
