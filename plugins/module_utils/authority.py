"""The home's own certificate authority and what it issues: files in one directory of the control machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .files import write_atomic
from .libraries import missing

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509 import oid
except ImportError as error:
    x509 = oid = hashes = serialization = ec = rsa = missing(error)

if TYPE_CHECKING:
    Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    Extension = TypeVar("Extension", bound=x509.ExtensionType)

_IN_CLUSTER = ("elasticsearch", "logstash", "localhost", "logging", "svc", "svc.cluster.local")
"""Domains within the cluster, which nobody on the internet owns."""
_PEM = re.compile(b"-----BEGIN [A-Z ]+-----.+-----END [A-Z ]+-----", re.DOTALL)
_USES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


class AuthorityError(Exception):
    """The authority cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Authority:
    """The authority of a home. Methods that change its files return whether something changed.

    Attributes:
        directory: where its files are.
        domain: the home's domain.
        domains: additional domains that a new authority may issue for.
        common_name: the name of a new authority.
        passphrase: the passphrase of its key; empty if the key is not encrypted.
        days: the validity of a new authority.
        leaf_days: the validity of issued certificates.
        renew_days: the time before expiry at which issued certificates are renewed.
        dry_run: whether all files stay as they are.
    """

    directory: Path
    domain: str
    domains: Sequence[str]
    common_name: str
    passphrase: str = field(repr=False)
    days: int
    leaf_days: int
    renew_days: int
    dry_run: bool = False

    @classmethod
    def of(cls, option: Callable[[str], Any], *, dry_run: bool = False) -> Authority:
        """Return the authority of a home.

        Args:
            option: returns the value of an option by its name.
            dry_run: whether all files stay as they are.
        """
        return cls(
            directory=Path(option("homeserver_secrets_dir")),
            domain=option("homeserver_domain"),
            domains=option("certificate_authority_domains"),
            common_name=option("certificate_authority_common_name"),
            passphrase=option("certificate_authority_passphrase"),
            days=int(option("certificate_authority_days")),
            leaf_days=int(option("certificate_authority_leaf_days")),
            renew_days=int(option("certificate_authority_renew_days")),
            dry_run=dry_run,
        )

    def create(self) -> bool:
        """Create the authority, or renew it if it expires soon or may issue for all domains.

        Raises:
            AuthorityError: a file of it is broken, or the passphrase is wrong.
        """
        return self._ensured("ca", self.common_name)[1]

    def remove(self) -> bool:
        """Remove the authority, and the previous or next one. Issued certificates stay."""
        names = ("ca.crt", "ca.key", "ca.next.crt", "ca.next.key", "ca.previous.crt", "ca.dropped.crt")
        return True in [self._removed(name) for name in names]

    def begin(self) -> bool:
        """Create the authority that takes the place of this one; clients trust both.

        Raises:
            AuthorityError: a file of it is broken, or the passphrase is wrong.
        """
        # On a device, two authorities with one name could not be distinguished.
        return self._ensured("ca.next", f"{self.common_name[:53]} {_now():%Y-%m-%d}")[1]

    def switch(self) -> bool:
        """Make the next authority the current one, and keep the certificate that servers still use."""
        # The next certificate is moved last: until then, ca.crt is that of the previous authority.
        if self._file("ca.next.crt").is_file():
            self._write("ca.previous.crt", self._file("ca.crt").read_bytes(), 0o644)
        return True in [self._moved(f"ca.next.{ending}", f"ca.{ending}") for ending in ("key", "crt")]

    def drop(self) -> bool:
        """End the trust in the previous authority."""
        return self._moved("ca.previous.crt", "ca.dropped.crt")

    def end(self) -> bool:
        """Remove the previous authority's certificate."""
        return self._removed("ca.dropped.crt")

    def issue(
        self, name: str, dns_names: Sequence[str], *, for_clients: bool = False, by_next: bool = False
    ) -> bool:
        """Issue a certificate, unless there is a valid one for these names.

        Args:
            name: its files' name, without an extension.
            dns_names: the host names that it is for.
            for_clients: whether it is a client certificate as well.
            by_next: whether the next authority issues it while there is one.

        Raises:
            AuthorityError: the authority may not issue for a name, its files are broken or do not belong
                together, or the passphrase is wrong.
        """
        authority = "ca.next" if by_next and self._file("ca.next.crt").is_file() else "ca"
        issuer, changed = self._ensured(authority, self.common_name)
        if foreign := outside(dns_names, permitted_domains(issuer)):
            raise AuthorityError(
                f"{self._file(f'{authority}.crt')} permits no certificate for {', '.join(foreign)}. Devices "
                f"would reject all of them. Delete this file, but not {authority}.key, and run again. Then "
                f"let every device trust the new {authority}.crt."
            )
        # A dry run has no key to sign with if it would have created one.
        if self._is_current(name, dns_names, issuer) or (self.dry_run and changed):
            return changed
        signer = self._signing_key(authority, issuer)
        key = _key(self._file(f"{name}.key")) or self._made_key(f"{name}.key")
        use = oid.ExtendedKeyUsageOID
        usage = [use.SERVER_AUTH, use.CLIENT_AUTH] if for_clients else [use.SERVER_AUTH]
        certificate = (
            _builder(_named(dns_names[0]), key, self.leaf_days)
            .issuer_name(issuer.subject)
            .add_extension(x509.SubjectAlternativeName(_dns(dict.fromkeys(dns_names))), critical=False)
            .add_extension(_key_usage("digital_signature"), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_identifier(issuer), critical=False)
            .sign(signer, hashes.SHA256())
        )
        self._write(f"{name}.crt", _pem(certificate), 0o644)
        return True

    def _ensured(self, name: str, common_name: str) -> tuple[x509.Certificate, bool]:
        """Return an authority's certificate, and whether it was made now."""
        file, key_file = self._file(f"{name}.crt"), self._file(f"{name}.key")
        former = _certificate(file)
        if file.is_file() and not former:
            raise self._broken(file)
        if key_file.is_file() and not _PEM.search(key_file.read_bytes()):
            raise self._broken(key_file)
        lasts = former and _ends_after(former, self.leaf_days) and permitted_domains(former)
        if former and lasts and key_file.is_file():
            return former, False
        key = self._authority_key(f"{name}.key")
        # Devices also identify the authority by its name, so a renewal keeps the name.
        subject = former.subject if former else _named(common_name)
        domains = [self.domain, *outside((each.removeprefix("*.") for each in self.domains), [self.domain])]
        everywhere = [x509.IPAddress(ip_network(network)) for network in ("0.0.0.0/0", "::/0")]
        limits = x509.NameConstraints(_dns(dict.fromkeys([*domains, *_IN_CLUSTER])), everywhere)
        certificate = (
            _builder(subject, key, self.days)
            .issuer_name(subject)
            .add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(limits, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        self._write(file.name, _pem(certificate), 0o644)
        return certificate, True

    def _is_current(self, name: str, dns_names: Sequence[str], issuer: x509.Certificate) -> bool:
        """Return whether an issued certificate can stay."""
        certificate, key = _certificate(self._file(f"{name}.crt")), _key(self._file(f"{name}.key"))
        if not certificate or not key or key.public_key() != certificate.public_key():
            return False
        names = _extension(certificate, x509.SubjectAlternativeName)
        return (
            _ends_after(certificate, self.renew_days)
            and not _ends_after(certificate, self.leaf_days)
            and {*(names or [])} == {*_dns(dns_names)}
            and _extension(certificate, x509.AuthorityKeyIdentifier) == _identifier(issuer)
            and certificate.issuer == issuer.subject
        )

    def _authority_key(self, name: str) -> Key:
        """Return an authority's key, and create a missing one; a wrong passphrase never replaces it."""
        if not self._file(name).is_file():
            return self._made_key(name, self.passphrase)
        if key := _key(self._file(name), self.passphrase):
            return key
        raise AuthorityError(
            f"{self._file(name)} cannot be read with certificate_authority_passphrase: set the right "
            "passphrase, or none if it is not encrypted. If it is broken, restore it from a backup."
        )

    def _signing_key(self, authority: str, issuer: x509.Certificate) -> Key:
        key = self._authority_key(f"{authority}.key")
        if key.public_key() == issuer.public_key():
            return key
        raise AuthorityError(
            f"{self._file(f'{authority}.key')} does not belong to {self._file(f'{authority}.crt')}: "
            "restore both from one backup."
        )

    def _made_key(self, name: str, passphrase: str = "") -> Key:
        key = ec.generate_private_key(ec.SECP256R1())
        content = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.BestAvailableEncryption(passphrase.encode())
            if passphrase
            else serialization.NoEncryption(),
        )
        self._write(name, content, 0o600)
        return key

    def _broken(self, file: Path) -> AuthorityError:
        return AuthorityError(
            f"{file} is empty or damaged: restore it from a backup. Without one, delete ca.crt and "
            f"ca.key in {self.directory} and run again; every device then has to trust the new ca.crt."
        )

    def _file(self, name: str) -> Path:
        return self.directory / name

    def _write(self, name: str, content: bytes, mode: int) -> None:
        """Write a file atomically."""
        if self.dry_run:
            return
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(self._file(name), content, mode)

    def _moved(self, name: str, to: str) -> bool:
        exists = self._file(name).exists()
        if exists and not self.dry_run:
            self._file(name).replace(self._file(to))
        return exists

    def _removed(self, name: str) -> bool:
        exists = self._file(name).exists()
        if exists and not self.dry_run:
            self._file(name).unlink()
        return exists


def permitted_domains(certificate: x509.Certificate) -> list[str]:
    """Return the domains that an authority's certificate permits; none if it permits all."""
    limits = _extension(certificate, x509.NameConstraints)
    permitted = limits.permitted_subtrees if limits else None
    return [name.value for name in permitted or [] if isinstance(name, x509.DNSName)]


def outside(names: Iterable[str], domains: Iterable[str]) -> list[str]:
    """Return the names that are in none of the domains; a wildcard is judged by its parent domain."""
    ends = tuple(f".{domain}" for domain in domains)
    return [name for name in names if not f".{name.removeprefix('*.')}".endswith(ends)]


def _certificate(file: Path) -> x509.Certificate | None:
    """Return the certificate in a file, if there is one that can be read."""
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _key(file: Path, passphrase: str = "") -> Key | None:
    """Return the key in a file, if there is one that can be read with the passphrase."""
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), passphrase.encode() or None)
    except (FileNotFoundError, TypeError, ValueError):
        return None
    return key if isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)) else None


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _builder(subject: x509.Name, key: Key, days: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now())
        .not_valid_after(_now() + timedelta(days=days))
    )


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME, common_name)])


def _dns(names: Iterable[str]) -> list[x509.GeneralName]:
    return [x509.DNSName(name) for name in names]


def _key_usage(*uses: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{use: use in uses for use in _USES})


def _identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Return how a certificate refers to its authority's key."""
    own = _extension(issuer, x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
        own or x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())
    )


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _ends_after(certificate: x509.Certificate, days: int) -> bool:
    return certificate.not_valid_after_utc > _now() + timedelta(days=days)


def _now() -> datetime:
    return datetime.now(UTC)
