"""Which certificates of a node are renewed, and which are only told."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.nodes import certificates
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

LONG = 3650
FOUNDERS = {
    "kubelet": "ca",
    "proxy": "ca",
    "server": "ca",
    "client": "ca",
    "front-proxy-client": "front-proxy-ca",
}


class Signer(NamedTuple):
    """An authority."""

    name: x509.Name
    key: ec.EllipticCurvePrivateKey


def write(file: Path, days: int, signer: Signer | None = None) -> Signer:
    """Write a certificate that expires in so many days and half of one, of itself if nobody signs it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, file.stem)])
    by = signer or Signer(name, key)
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days, hours=12)
    begin = end - datetime.timedelta(days=LONG)
    serial = x509.random_serial_number()
    builder = x509.CertificateBuilder(by.name, name, key.public_key(), serial, begin, end)
    constraints = x509.BasicConstraints(ca=signer is None, path_length=None)
    certificate = builder.add_extension(constraints, critical=True).sign(by.key, hashes.SHA256())
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Signer(name, key)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a node's certificates."""
    monkeypatch.setattr(certificates, "CERTIFICATES", tmp_path)
    monkeypatch.setattr(certificates, "is_worker", lambda: False)
    return tmp_path


@pytest.fixture
def issue(directory: Path) -> Callable[..., None]:
    """Make a founder's certificates, with the days that some have left."""
    signers = {name: write(directory / f"{name}.crt", LONG) for name in ("ca", "front-proxy-ca")}
    for name, signer in FOUNDERS.items():
        write(directory / f"{name}.crt", LONG, signers[signer])

    def _issue(signed_by: Signer | None = None, **days: int) -> None:
        for name, left in days.items():
            file = name.replace("_", "-")
            signer = signed_by or signers.get(FOUNDERS.get(file, ""))
            write(directory / f"{file}.crt", left, signer)

    return _issue


@pytest.mark.parametrize("left", [29, 0, -400])
def test_what_expires_soon_or_has_expired_is_renewed(issue: Callable[..., None], left: int) -> None:
    issue(server=left, front_proxy_client=left, kubelet=left)
    assert certificates.days_left()["server"] == left
    assert certificates.expiring(30) == ["front-proxy-client", "kubelet", "server"]


def test_what_is_valid_for_longer_is_left_alone(issue: Callable[..., None]) -> None:
    issue(server=30)
    assert certificates.expiring(30) == []
    assert certificates.warnings(certificates.days_left(), 30) == []


def test_one_that_the_owner_got_elsewhere_is_told_and_left_alone(
    issue: Callable[..., None], directory: Path
) -> None:
    issue(signed_by=write(directory / "other.crt", LONG), server=5)
    assert certificates.expiring(30) == []
    (warning,) = certificates.warnings(certificates.days_left(), 30)
    assert warning.startswith("the certificate server.crt of MicroK8s expires in 5 days -> get a new one")


def test_an_authority_is_told_with_what_it_signed_for_as_long(issue: Callable[..., None]) -> None:
    issue(client=5, ca=7)
    told = certificates.warnings(certificates.days_left(), 30)
    assert certificates.expiring(30) == []
    assert [line.partition(" of ")[0] for line in told] == [
        "the certificate ca.crt",
        "the certificate client.crt",
    ]
    assert all("KubernetesCertificateExpiring.md" in line for line in told)


def test_a_worker_has_two_that_its_founder_signs(
    issue: Callable[..., None], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(server=5, kubelet=5)
    monkeypatch.setattr(certificates, "is_worker", lambda: True)
    (directory / "ca.crt").rename(directory / "ca.remote.crt")
    assert list(certificates.days_left()) == ["kubelet", "proxy"]
    assert certificates.expiring(30) == ["kubelet"]


@pytest.mark.usefixtures("directory")
def test_a_bare_host_has_none() -> None:
    assert certificates.days_left() == {}
    assert certificates.expiring(30) == []
