"""A filter that hashes a password."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

_GENERATED = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9]{32}")
"""What the lookup `secret` generates; an owner may have put something else into its file."""
_READ = 72
"""Bytes of a password that bcrypt reads."""


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"bcrypt_hash": bcrypt_hash}


def bcrypt_hash(password: str, owner: str, *, generated: bool = False) -> str:
    """Hash a password with bcrypt, always to the same, so that a second run changes nothing.

    Args:
        password: the password.
        owner: whose it is, and in which home; it makes the salt, which only has to be different for each.
        generated: whether it was generated. Then it is hashed fast: guessing it takes too long anyway.
    """
    # Each task that uses a filter of the collection reads the files of all.
    import bcrypt  # noqa: PLC0415

    rounds = 4 if generated and _GENERATED.fullmatch(password) else 10
    # Of the last of 22 characters only two bits count.
    salt = f"$2b${rounds:02}${hashlib.sha256(owner.encode()).hexdigest()[:21]}u"
    return bcrypt.hashpw(password.encode()[:_READ], salt.encode()).decode()
