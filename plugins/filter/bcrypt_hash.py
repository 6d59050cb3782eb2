"""A filter that hashes a password."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

_RANDOM = 32
"""Characters from which on a password is one that was generated, or as hard to guess."""
_READ = 72
"""Bytes of a password that bcrypt reads."""


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"bcrypt_hash": bcrypt_hash}


def bcrypt_hash(password: str, owner: str) -> str:
    """Hash a password with bcrypt, always to the same, so that a second run changes nothing.

    Args:
        password: a long one is hashed fast, because guessing it takes too long anyway.
        owner: whose it is, and in which home; it makes the salt, which only has to be different for each.
    """
    # Each task that uses a filter of the collection reads the files of all.
    import bcrypt  # noqa: PLC0415

    rounds = 4 if len(password) >= _RANDOM else 10
    # Of the last of 22 characters only two bits count.
    salt = f"$2b${rounds:02}${hashlib.sha256(owner.encode()).hexdigest()[:21]}u"
    return bcrypt.hashpw(password.encode()[:_READ], salt.encode()).decode()
