"""A filter that hashes a password."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

_GENERATED = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9]{32}")
"""The format that the lookup `secret` generates. An owner may have written something else to the file."""
_READ = 72
"""Bytes of a password that bcrypt reads."""


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"bcrypt_hash": bcrypt_hash}


def bcrypt_hash(password: str, owner: str, *, generated: bool = False) -> str:
    """Hash a password with bcrypt deterministically, so a second run changes nothing.

    Args:
        password: the password.
        owner: the user and the home. The salt is derived from it, because it only needs to be unique.
        generated: whether it was generated. Then a fast hash is enough, because it cannot be guessed.
    """
    # Each task that uses a filter of the collection loads all its filter files.
    import bcrypt  # noqa: PLC0415

    rounds = 4 if generated and _GENERATED.fullmatch(password) else 10
    # Only two bits of the last of 22 characters count.
    salt = f"$2b${rounds:02}${hashlib.sha256(owner.encode()).hexdigest()[:21]}u"
    return bcrypt.hashpw(password.encode()[:_READ], salt.encode()).decode()
