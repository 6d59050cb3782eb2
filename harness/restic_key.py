"""Repositories whose key tests do not derive at restic's full cost with each command.

Restic asks for no cost: it takes what costs half a second on the machine. A key file says with which cost
it is opened. Its format is in restic's design document.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

NONCE = MAC = 16


def make_repository(place: Path, password: str) -> None:
    """Make an empty repository, whose key costs nothing to derive."""
    shutil.copytree(_empty(password).name, place, dirs_exist_ok=True)


@cache
def _empty(password: str) -> tempfile.TemporaryDirectory[str]:
    """Return a repository to copy, which is removed when Python ends."""
    directory = tempfile.TemporaryDirectory()
    environment = os.environ | {"RESTIC_PASSWORD": password}
    command = ["restic", "--quiet", "--no-cache", "--repo", directory.name, "init"]
    subprocess.run(command, env=environment, check=True)
    make_cheap(Path(directory.name), password)
    return directory


def make_cheap(repository: Path, password: str) -> None:
    """Seal the key of a new repository again, at a cost of nothing."""
    (file,) = (repository / "keys").iterdir()
    key: dict[str, Any] = json.loads(file.read_text())
    data = base64.b64decode(key["data"])
    nonce = data[:NONCE]
    encryption, _, _ = _derived(key, password)
    master = _aes_ctr(encryption, nonce, data[NONCE:-MAC])
    key |= {"N": 2, "r": 1, "p": 1}
    encryption, mac_key, mac_salt = _derived(key, password)
    sealed = _aes_ctr(encryption, nonce, master)
    mac = Poly1305.generate_tag(mac_salt + _aes_block(mac_key, nonce), sealed)
    key["data"] = base64.b64encode(nonce + sealed + mac).decode()
    content = json.dumps(key).encode()
    file.unlink()
    file.with_name(hashlib.sha256(content).hexdigest()).write_bytes(content)


def _derived(key: dict[str, Any], password: str) -> tuple[bytes, bytes, bytes]:
    cost = {"n": key["N"], "r": key["r"], "p": key["p"], "maxmem": 2**28}
    derived = hashlib.scrypt(password.encode(), salt=base64.b64decode(key["salt"]), dklen=64, **cost)
    return derived[:32], derived[32:48], derived[48:]


def _aes_ctr(key: bytes, nonce: bytes, data: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(key), modes.CTR(nonce)).encryptor()
    return cipher.update(data) + cipher.finalize()


def _aes_block(key: bytes, block: bytes) -> bytes:
    # One block: there is no pattern to hide.
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)  # noqa: S305
