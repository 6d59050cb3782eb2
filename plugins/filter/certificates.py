"""Filters that tell what is in an authority's certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def permitted_domains(pem: str) -> list[str]:
    """Return the domains that an authority's certificate permits; none if it permits all."""
    # Each task that uses a filter of the collection reads the files of all.
    from cryptography import x509  # noqa: PLC0415

    extensions = x509.load_pem_x509_certificate(pem.encode()).extensions
    try:
        constraints = extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return []
    return [name.value for name in constraints.permitted_subtrees or [] if isinstance(name, x509.DNSName)]


def outside(names: Iterable[str], domains: Iterable[str]) -> list[str]:
    """Return the names that are in none of the domains; a wildcard is where the rest of it is."""
    ends = tuple(f".{domain}" for domain in domains)
    return [name for name in names if not f".{name.removeprefix('*.')}".endswith(ends)]


def fingerprint(pem: str) -> str:
    """Return a certificate's SHA-256 fingerprint, as devices show it."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415

    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256()).hex(":").upper()


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"fingerprint": fingerprint, "outside": outside, "permitted_domains": permitted_domains}
