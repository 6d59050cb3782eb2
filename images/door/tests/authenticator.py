"""A passkey in software, for tests without a browser."""

import hashlib
import json
import secrets
import struct
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode

from images.door.tests.served import LOGIN

_PRESENT, _VERIFIED, _ATTESTED = 1, 4, 64


class Authenticator:
    """Makes one passkey, and proves that it has it.

    Attributes:
        verifies: Whether it looks at who holds it.
        origin: The page that it sees.
    """

    def __init__(self, *, verifies: bool = True, origin: str = f"https://{LOGIN}") -> None:
        self.verifies = verifies
        self.origin = origin
        self.user_handle = ""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._id = secrets.token_bytes(16)

    def create(self, options: dict[str, Any]) -> str:
        """Return the response to the options of a registration, as a form has it."""
        public = options["publicKey"]
        self.user_handle = public["user"]["id"]
        cose = cbor.encode(dict(ES256.from_cryptography_key(self._key.public_key())))
        attested = bytes(16) + struct.pack(">H", len(self._id)) + self._id + cose
        data = self._data(public["rp"]["id"], _ATTESTED) + attested
        attestation = cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client("webauthn.create", public["challenge"])
        response = {
            "clientDataJSON": websafe_encode(client),
            "attestationObject": websafe_encode(attestation),
        }
        return self._credential(response)

    def get(self, options: dict[str, Any]) -> str:
        """Return the response to the options of a login, as a form has it."""
        public = options["publicKey"]
        data = self._data(public["rpId"], 0)
        client = self._client("webauthn.get", public["challenge"])
        signed = data + hashlib.sha256(client).digest()
        response = {
            "clientDataJSON": websafe_encode(client),
            "authenticatorData": websafe_encode(data),
            "signature": websafe_encode(self._key.sign(signed, ec.ECDSA(hashes.SHA256()))),
            "userHandle": self.user_handle,
        }
        return self._credential(response)

    def _data(self, host: str, flags: int) -> bytes:
        flags |= _PRESENT | (_VERIFIED if self.verifies else 0)
        return hashlib.sha256(host.encode()).digest() + struct.pack(">BI", flags, 0)

    def _client(self, kind: str, challenge: str) -> bytes:
        assert websafe_decode(challenge)
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _credential(self, response: dict[str, str]) -> str:
        identity = websafe_encode(self._id)
        return json.dumps(
            {
                "type": "public-key",
                "id": identity,
                "rawId": identity,
                "response": response,
                "clientExtensionResults": {},
            }
        )
