"""How the API server on this host encrypts Secrets before it stores them. Needs only Python and root."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import NamedTuple

FILE = Path("/etc/homeserver/encryption.yaml")
FLAG = "--encryption-provider-config"
PLAIN = "identity"
_ARGUMENTS = Path("/var/snap/microk8s/current/args/kube-apiserver")


class Key(NamedTuple):
    """A key, or what reads Secrets that are not encrypted: `NOTHING`.

    Attributes:
        name: Stands in the datastore before each Secret that is encrypted with it.
        secret: 32 bytes, in base64.
    """

    name: str
    secret: str


NOTHING = Key(PLAIN, "")


def key_of(password: str) -> Key:
    """Return the key that is made of a password; each run makes the same."""
    secret = hashlib.sha256(password.encode()).digest()
    # The name is no secret. The role knows it by the same rule.
    name = hashlib.sha256(f"name of {password}".encode()).hexdigest()[:12]
    return Key(f"key-{name}", base64.b64encode(secret).decode())


def read() -> list[Key]:
    """Return the keys in the order of the file. The API server writes with the first, and reads with all."""
    if not FILE.exists():
        return []
    (secrets,) = json.loads(FILE.read_text())["resources"]
    return [
        Key(**provider["secretbox"]["keys"][0]) if "secretbox" in provider else NOTHING
        for provider in secrets["providers"]
    ]


def write(keys: list[Key]) -> None:
    """Replace the file as a whole, for root alone. The API server reads it when it starts."""
    FILE.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=FILE.parent, prefix=f".{FILE.name}.")  # for its owner alone
    with os.fdopen(handle, "w") as file:
        json.dump(_configuration(keys), file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    Path(beside).replace(FILE)


def _configuration(keys: list[Key]) -> dict[str, object]:
    # JSON is YAML, and the host may have no Python library for the latter.
    providers: list[dict[str, object]] = [
        {PLAIN: {}} if key == NOTHING else {"secretbox": {"keys": [key._asdict()]}} for key in keys
    ]
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": providers}],
    }


def stores_plain() -> bool:
    """Return whether there is an API server that encrypts nothing: of an older home, or after a snap revert."""
    given = rf"^{FLAG}[= ]{FILE}$"
    return _ARGUMENTS.exists() and not re.search(given, _ARGUMENTS.read_text(), re.MULTILINE)
