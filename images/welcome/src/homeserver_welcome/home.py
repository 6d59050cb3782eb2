"""The files that the role mounts: settings, certificates, the profile and a QR code."""

import json
import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the home.

    Attributes:
        name: The name under which devices list it.
        fingerprint: The SHA-256 fingerprint of its certificate.
        file: The name of its files, without their ending.
        pem: Its certificate in PEM.
    """

    name: str
    fingerprint: str
    file: str
    pem: bytes

    @property
    def der(self) -> bytes:
        """Its certificate in DER. The hash of this file is the fingerprint."""
        return ssl.PEM_cert_to_DER_cert(self.pem.decode())


@dataclass(frozen=True)
class Home:
    """The home.

    Attributes:
        domain: Its domain.
        address: The address of its first machine.
        host: The name of this page over HTTPS.
        former_host: During a rotation, a name with a certificate of the present authority; otherwise empty.
        names: Names of this page in the local network.
        pages: The names of its other pages.
        authorities: What devices have to trust: during a rotation, also the next authority.
        profile: The profile for Apple's devices.
        code: A QR code of this page's address, as SVG.
    """

    domain: str
    address: str
    host: str
    former_host: str
    names: list[str]
    pages: list[str]
    authorities: list[Authority]
    profile: bytes
    code: str

    @property
    def rotates(self) -> bool:
        """Whether its authority is being replaced."""
        return len(self.authorities) > 1


def read(directory: Path) -> Home:
    """Read the mounted files.

    Raises:
        OSError: A file is missing.
    """
    settings = json.loads((directory / "settings.json").read_text())
    files = ("ca", "ca-next")
    authorities = [
        Authority(each["name"], each["fingerprint"], f"home-{file}", (directory / f"{file}.crt").read_bytes())
        for each, file in zip(settings.pop("authorities"), files, strict=False)
    ]
    return Home(
        **settings,
        authorities=authorities,
        profile=(directory / "profile").read_bytes(),
        code=(directory / "code.svg").read_text(),
    )
