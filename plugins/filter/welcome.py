"""Filters for the page on which a device learns to trust the home's certificate authority."""

from __future__ import annotations

import base64
import hashlib
import plistlib
import uuid
from collections.abc import Callable, Sequence
from typing import Any


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"common_name": common_name, "signed_profile": signed_profile, "trust_profile": trust_profile}


def common_name(pem: str) -> str:
    """Return the common name of a certificate's subject, under which devices list it."""
    # Each task that uses a filter of the collection loads all its filter files.
    from cryptography import x509  # noqa: PLC0415

    subject = x509.load_pem_x509_certificate(pem.encode()).subject
    return str(subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def trust_profile(authorities: Sequence[str], domain: str, start: str) -> str:
    """Return a configuration profile for Apple's devices, as XML.

    It contains certificates to trust, and an icon for the home screen. Its identifiers are derived from its
    content, so a device that has it installs the same one again as an update.

    Args:
        authorities: The certificates in PEM.
        domain: The home's domain.
        start: The URL that the icon opens.
    """
    identifier = f"{'.'.join(reversed(domain.split('.')))}.trust"
    payloads = [_certificate(identifier, pem) for pem in authorities]
    payloads.append(
        _payload(f"{identifier}.start", start.encode())
        | {
            "PayloadType": "com.apple.webClip.managed",
            "PayloadDisplayName": domain,
            "Label": domain,
            "URL": start,
            "IsRemovable": True,
        }
    )
    profile = _payload(identifier, "".join(each["PayloadUUID"] for each in payloads).encode()) | {
        "PayloadType": "Configuration",
        "PayloadDisplayName": f"Home server {domain}",
        "PayloadDescription": f"Trusts the certificates of {domain}, and adds an icon that opens it.",
        "PayloadContent": payloads,
    }
    return plistlib.dumps(profile).decode()


def _certificate(identifier: str, pem: str) -> dict[str, Any]:
    content = _der(pem)
    name = hashlib.sha256(content).hexdigest()[:16]
    return _payload(f"{identifier}.ca.{name}", content) | {
        "PayloadType": "com.apple.security.root",
        "PayloadDisplayName": common_name(pem),
        "PayloadCertificateFileName": f"{name}.cer",
        "PayloadContent": content,
    }


def _payload(identifier: str, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(identifier.encode() + b"\0" + content).digest()
    return {
        "PayloadVersion": 1,
        "PayloadIdentifier": identifier,
        "PayloadUUID": str(uuid.UUID(bytes=digest[:16], version=5)).upper(),
    }


def _der(pem: str) -> bytes:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)


def signed_profile(profile: str, certificate: str, key: str, issuers: str, former: str = "") -> str:
    """Sign a configuration profile, and return it in Base64.

    Args:
        profile: The profile as XML.
        certificate: The certificate of the signer, in PEM.
        key: The signer's key, in PEM.
        issuers: The authorities of the home in PEM. The one that issued the certificate becomes part of the
            signature.
        former: The result of the previous run. It is returned if it has the same content and signer, because
            each signature differs.
    """
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import pkcs7  # noqa: PLC0415

    signer = x509.load_pem_x509_certificate(certificate.encode())
    content = profile.encode()
    known = base64.b64decode(former)
    if known and content in known and signer in pkcs7.load_der_pkcs7_certificates(known):
        return former
    builder = (
        pkcs7.PKCS7SignatureBuilder().set_data(content).add_signer(signer, _private_key(key), hashes.SHA256())
    )
    for each in x509.load_pem_x509_certificates(issuers.encode()):
        if each.subject == signer.issuer:
            builder = builder.add_certificate(each)
    signed = builder.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])
    return base64.b64encode(signed).decode()


def _private_key(pem: str) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    return load_pem_private_key(pem.encode(), None)
