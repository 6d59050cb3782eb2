"""The filter that converts a key to the form that Logstash reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def pkcs8(key: str) -> str:
    """Return a PEM private key in the only form that Logstash reads."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 (only Logstash needs it)

    private = serialization.load_pem_private_key(key.encode(), None)
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


class FilterModule:
    """The filter by its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"pkcs8": pkcs8}
