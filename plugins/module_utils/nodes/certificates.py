"""The certificates of MicroK8s on this host, and their remaining validity."""

from __future__ import annotations

import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from .membership import (
    DATA,
    NODE_NAME,
    is_worker,
)

CERTIFICATES = DATA / "certs"
_DAY = 86400
_FOUNDERS_AUTHORITIES = ("ca", "front-proxy-ca")
# Created with the authorities and valid as long. Only `refresh-certs -e ca.crt` replaces them.
_WITH_THE_AUTHORITIES = ("apiserver-kubelet-client", "client", "controller", "scheduler")
_SIGNED_BY = {
    "front-proxy-client": "front-proxy-ca",
    "kubelet": "ca",
    "proxy": "ca",
    "server": "ca",
}
_SIGNED_DAYS = 3650


class Bearer(NamedTuple):
    """The identity in a certificate.

    Attributes:
        subject: the Kubernetes user.
        names: its names and addresses as a server, in OpenSSL's syntax; empty for a client.
    """

    subject: str
    names: str = ""


def bearer(name: str, node: str, address: str) -> Bearer:
    """Return the identity for one of the certificates.

    Raises:
        ValueError: If a node cannot have this name.
    """
    if name == "kubelet":
        if not NODE_NAME.fullmatch(node):
            raise ValueError(f"{node!r} is not the name of a node")
        names = f"DNS:{node}" + (f",IP:{address}" if address else "")
        return Bearer(f"/CN=system:node:{node}/O=system:nodes", names)
    return Bearer({"front-proxy-client": "/CN=front-proxy-client", "proxy": "/CN=system:kube-proxy"}[name])


def sign(name: str, public_key: str, whom: Bearer, directory: Path = CERTIFICATES) -> str:
    """Return a certificate of this cluster for a public key. Nothing else is taken from the input.

    Raises:
        ValueError: If it is not a public key, or OpenSSL fails for another reason; with its output.
    """
    extensions = {
        "basicConstraints": "critical,CA:FALSE",
        "keyUsage": "critical,digitalSignature,keyEncipherment",
        "extendedKeyUsage": "clientAuth,serverAuth" if whom.names else "clientAuth",
        "authorityKeyIdentifier": "keyid",
        **({"subjectAltName": whom.names} if whom.names else {}),
    }
    authority = directory / _SIGNED_BY[name]
    with tempfile.TemporaryDirectory() as scratch:
        key, described = Path(scratch, "key"), Path(scratch, "extensions")
        key.write_text(public_key)
        described.write_text("".join(f"{field}={value}\n" for field, value in extensions.items()))
        done = _openssl(
            *("x509", "-new", "-sha256", f"-days={_SIGNED_DAYS}", f"-subj={whom.subject}"),
            *(f"-force_pubkey={key}", f"-extfile={described}"),
            *(f"-CA={authority}.crt", f"-CAkey={authority}.key"),
        )
    if done.returncode:
        told = done.stderr.strip()
        raise ValueError("it sent no public key" if "public key" in told else told)
    return done.stdout


def authority() -> Path:
    """Return the file of the cluster's certificate authority, which this host trusts."""
    return _file("ca.remote" if is_worker() else "ca")


def days_left() -> dict[str, int]:
    """Return the whole days until each certificate that this host needs expires, negative if it has."""
    names = (*_renewable(), *(() if is_worker() else (*_FOUNDERS_AUTHORITIES, *_WITH_THE_AUTHORITIES)))
    return {name: _days_left(_file(name)) for name in sorted(names) if _file(name).exists()}


def expiring(days: int) -> list[str]:
    """Return the certificates that expire within this number of days and can be renewed."""
    return _ours(_soon(days_left(), days))


def warnings(left: dict[str, int], days: int) -> list[str]:
    """Return a sentence for each certificate that expires within this number of days, with the fix.

    Args:
        left: the days until expiry, by name.
        days: the threshold.
    """
    soon = _soon(left, days)
    ours = _ours(soon)
    return [
        f"the certificate {name}.crt of MicroK8s expires in {remaining} days -> {_renewal(name, ours)}"
        for name, remaining in soon.items()
    ]


def _soon(left: dict[str, int], days: int) -> dict[str, int]:
    return {name: remaining for name, remaining in left.items() if remaining < days}


def _ours(soon: dict[str, int]) -> list[str]:
    return [name for name in _renewable() if name in soon and _is_signed_here(name)]


def _renewal(name: str, ours: list[str]) -> str:
    if name in ours:
        return "a run of the role microk8s renews it"
    if name in _renewable():
        return "get a new one from the authority that signed it"
    return "renew it with its authority: docs/runbooks/KubernetesCertificateExpiring.md"


def _renewable() -> list[str]:
    """Return the certificates that are signed by an authority whose key the founder has."""
    # A worker also has a server.crt, from its own cluster before it joined.
    return ["kubelet", "proxy"] if is_worker() else sorted(_SIGNED_BY)


def _is_signed_here(name: str) -> bool:
    """Return whether the cluster's own authority signed it; owners renew their own certificates."""
    signer = authority() if _SIGNED_BY[name] == "ca" else _file(_SIGNED_BY[name])
    trusted = ("-no_check_time", "-partial_chain", "-trusted", str(signer))
    return _openssl("verify", *trusted, str(_file(name))).returncode == 0


def _days_left(file: Path) -> int:
    shown = _openssl("x509", "-enddate", "-noout", "-in", str(file)).stdout
    expiry = ssl.cert_time_to_seconds(shown.strip().removeprefix("notAfter="))
    return int((expiry - time.time()) // _DAY)


def _openssl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)


def _file(name: str) -> Path:
    return CERTIFICATES / f"{name}.crt"
