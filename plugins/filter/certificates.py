"""Filters for the home's certificate authority."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def fingerprint(pem: str) -> str:
    """Return a certificate's SHA-256 fingerprint, as devices show it."""
    # Each task that uses a filter of the collection loads all its filter files.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415

    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256()).hex(":").upper()


def cannot_rotate(secret: str, step: str, directory: str) -> str:
    """Return why a step of a rotation cannot be the next, or an empty text.

    Args:
        secret: The secret's name; C(ca) is the authority.
        step: C(begin) or C(finish); empty is C(begin).
        directory: The directory of the secrets.
    """
    told = f"secret={secret}" + (f" step={step}" if step else "")
    begins = step in ("", "begin")
    if secret != "ca":  # noqa: S105 (its name)
        return "" if begins else f"{told}: it has no steps -> leave step out"
    begun = [each for each in ("next", "previous", "dropped") if Path(directory, f"ca.{each}.crt").is_file()]
    if not begun:
        fix = "first -e secret=ca, and let your devices trust ca.next.crt"
        return "" if begins else f"{told}: no next authority is ready -> {fix}"
    # Until the switch, the first step can be repeated. After it, the rotation must be finished.
    if step == "finish" or (begins and begun == ["next"]):
        return ""
    return f"{told}: the authority is being replaced -> -e step=finish completes it"


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"cannot_rotate": cannot_rotate, "fingerprint": fingerprint}
