"""Secrets derived from the master password of all backups, which only the control machine has.

Each machine has a repository with a derived password. The control file has the control machine's files.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import json

_CONTROL = "homeserver control file"
_HEADER = "homeserver control file 1\n"
_BUCKETS = ("azure", "b2", "gs", "swift")
"""Kinds of locations whose path comes after a second colon."""


class SealError(Exception):
    """The control file cannot be opened; the message says why and what to do."""


def machine_password(master: str, host: str) -> str:
    """Return the password of a machine's own repository."""
    return _derived(master, f"homeserver backup of {host}", 32).hex()


def machine_location(location: str, host: str) -> str:
    """Return the location of a machine's own repository, in restic's syntax."""
    kind, _, rest = location.partition(":")
    if kind in _BUCKETS and ":" not in rest:
        return f"{location}:/{host}"
    slash = "" if location.endswith((":", "/")) else "/"
    return f"{location}{slash}{host}" + ("/" if kind == "rest" else "")


def sealed(files: dict[str, str], master: str) -> str:
    """Encrypt the control machine's files deterministically, so a second run changes nothing.

    Args:
        files: the content of each file, in base64, by its name.
        master: the password of all backups.
    """
    # Each task that uses a filter of the collection loads all its filter files.
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV  # noqa: PLC0415

    key = AESSIV(_derived(master, _CONTROL, 64))
    encrypted = key.encrypt(json.dumps(files, sort_keys=True).encode(), [_HEADER.encode()])
    return _HEADER + base64.encodebytes(encrypted).decode()


def unsealed(text: str, master: str) -> dict[str, str]:
    """Return the files that were passed to `sealed`.

    Raises:
        SealError: the password is wrong, or this home's control machine did not write the text.
    """
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV  # noqa: PLC0415

    key = AESSIV(_derived(master, _CONTROL, 64))
    try:
        encrypted = base64.b64decode(text.removeprefix(_HEADER))
        found: dict[str, str] = json.loads(key.decrypt(encrypted, [_HEADER.encode()]))
    except (InvalidTag, binascii.Error, ValueError):
        raise SealError(
            "the saved inventory was not written by the control machine of this home, or was changed since,"
            " and nothing of it is used -> give the password that this home had then, or restore an older"
            " save with -e at=<date>; if neither helps, somebody may have changed the backup"
        ) from None
    return found


@functools.cache
def _derived(master: str, purpose: str, length: int) -> bytes:
    # Slow on purpose: a machine must not be able to guess a weak master from its own password.
    return hashlib.scrypt(
        master.encode(), salt=purpose.encode(), n=2**15, r=8, p=1, maxmem=2**26, dklen=length
    )
