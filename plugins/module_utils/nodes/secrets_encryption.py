"""How the API server on this host encrypts Secrets before it stores them. Needs only Python and root."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import NamedTuple

from ..files import write_atomic

FILE = Path("/etc/homeserver/encryption.yaml")
FLAG = "--encryption-provider-config"
PLAIN = "identity"
_ARGUMENTS = Path("/var/snap/microk8s/current/args/kube-apiserver")


class Key(NamedTuple):
    """A key, or `NOTHING`, which reads Secrets that are not encrypted.

    Attributes:
        name: Prefix in the datastore of each Secret that is encrypted with it.
        secret: 32 bytes, in base64.
    """

    name: str
    secret: str


NOTHING = Key(PLAIN, "")


def key_of(password: str) -> Key:
    """Derive the key from a password, deterministically."""
    secret = hashlib.sha256(password.encode()).digest()
    # The name is not a secret. The role derives it in the same way.
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
    """Replace the file atomically, readable by root only. The API server reads it when it starts."""
    FILE.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_atomic(FILE, f"{json.dumps(_configuration(keys), indent=2)}\n".encode())


def _configuration(keys: list[Key]) -> dict[str, object]:
    # JSON is valid YAML, and the host may lack a YAML library for Python.
    providers: list[dict[str, object]] = [
        {PLAIN: {}} if key == NOTHING else {"secretbox": {"keys": [key._asdict()]}} for key in keys
    ]
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": providers}],
    }


def stores_plain() -> bool:
    """Return whether an API server exists that encrypts nothing: in an older home, or after a snap revert."""
    given = rf"^{FLAG}[= ]{FILE}$"
    return _ARGUMENTS.exists() and not re.search(given, _ARGUMENTS.read_text(), re.MULTILINE)
