"""With the role's ACME options, the real Traefik obtains certificates from a real ACME authority."""

import base64
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from harness import pebble
from harness.pebble import Authority
from harness.programs import free_port
from harness.rendering import Object, find
from harness.traefik import Traefik, running
from harness.traefik_role import render
from harness.waiting import wait_until

DOMAIN = "home.example.org"
HOST = f"nas.{DOMAIN}"
# The ports of the pod that the Service publishes as 80 and 443.
HTTP, HTTPS = 8000, 8443
HTTPREQ = {"traefik_acme_challenge": "dns", "traefik_acme_dns_provider": "httpreq"}


@dataclass(frozen=True)
class Home:
    """Traefik in a pod like the role's, and the authority.

    Attributes:
        directory: For all files. The pod's volume is `volume` in it.
        ports: Where the pod's ports are on this machine.
        authority: Reaches only the ports that are open to the internet.
    """

    directory: Path
    ports: dict[int, int]
    authority: Authority

    @contextmanager
    def traefik(self, monkeypatch: pytest.MonkeyPatch, **variables: Any) -> Iterator[Traefik]:
        """Run Traefik with one route until the block ends."""
        objects = render(
            self.directory,
            homeserver_domain=DOMAIN,
            homeserver_acme_email="owner@example.org",
            traefik_acme_server=self.authority.url,
            traefik_acme_dns_environment={"HTTPREQ_ENDPOINT": self.authority.dns_provider},
            **variables,
        )
        files = find(objects, "ConfigMap", "traefik")["data"]
        configuration = yaml.safe_load(files["traefik.yaml"])
        acme = configuration["certificatesResolvers"]["acme"]["acme"]
        acme["storage"] = str(self._on_this_machine(Path(acme["storage"]), objects))
        if "dnsChallenge" in acme:
            # Instead of the machine's name server, and of the domain's own.
            acme["dnsChallenge"] |= {
                "resolvers": [self.authority.resolver],
                "propagation": {"disableChecks": True},
            }
        configuration["providers"] = {"file": {"directory": str(self._routes(files))}}
        monkeypatch.setenv("LEGO_CA_CERTIFICATES", str(self.authority.certificate))
        for name, value in _environment(objects).items():
            monkeypatch.setenv(name, value)
        addresses = {
            name: f"127.0.0.1:{self.ports[port]}"
            for name, entry_point in configuration["entryPoints"].items()
            for port in self.ports
            if entry_point["address"] == f":{port}"
        }
        with running(self.directory, configuration, **addresses) as traefik:
            yield traefik

    def served(self, host: str, traefik: Traefik) -> x509.Certificate:
        """Wait for a certificate of the authority for this host, and return it."""
        certificates: list[bytes] = []

        def is_served() -> bool:
            certificate = self._certificate(host)
            certificates.extend([certificate] if certificate else [])
            return bool(certificates)

        wait_until(is_served, lambda: traefik.log.read_text() + self.authority.log.read_text())
        return x509.load_der_x509_certificate(certificates[0])

    def _certificate(self, host: str) -> bytes | None:
        with socket.create_connection(("127.0.0.1", self.ports[HTTPS]), timeout=30) as connection:
            try:
                session = self.authority.trust().wrap_socket(connection, server_hostname=host)
            except ssl.SSLCertVerificationError:
                return None
            with session:
                return session.getpeercert(binary_form=True)

    def _on_this_machine(self, path: Path, objects: list[Object]) -> Path:
        pod = find(objects, "Deployment", "traefik")["spec"]["template"]["spec"]
        (volume,) = [each for each in pod["volumes"] if "persistentVolumeClaim" in each]
        assert find(objects, "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
        mounts = pod["containers"][0]["volumeMounts"]
        (mount,) = [each["mountPath"] for each in mounts if each["name"] == volume["name"]]
        (self.directory / "volume").mkdir(exist_ok=True)
        return self.directory / "volume" / path.relative_to(mount)

    def _routes(self, files: dict[str, str]) -> Path:
        directory = self.directory / "routes"
        directory.mkdir(exist_ok=True)
        route = {"rule": f"Host(`{HOST}`)", "service": "ping@internal"}
        (directory / "routes.yaml").write_text(yaml.safe_dump({"http": {"routers": {"nas": route}}}))
        if "outside.yaml" in files:
            (directory / "outside.yaml").write_text(files["outside.yaml"])
        return directory


def _environment(objects: list[Object]) -> dict[str, str]:
    """Return the variables that the pod gets from Secrets."""
    (container,) = find(objects, "Deployment", "traefik")["spec"]["template"]["spec"]["containers"]
    secrets = [find(objects, "Secret", each["secretRef"]["name"]) for each in container.get("envFrom", [])]
    return {
        name: base64.b64decode(value).decode() for secret in secrets for name, value in secret["data"].items()
    }


@contextmanager
def at_home(directory: Path, open_ports: set[int]) -> Iterator[Home]:
    """Run an authority that reaches these ports of the pod."""
    ports = {port: free_port() for port in (HTTP, HTTPS)}
    http, https = (ports[port] if port in open_ports else free_port() for port in (HTTP, HTTPS))
    with pebble.running(directory / "authority", http, https) as authority:
        yield Home(directory, ports, authority)


def _stored(file: Path) -> dict[str, Any]:
    """Return what Traefik has stored, or nothing while it writes that."""
    try:
        found = json.loads(file.read_text())["acme"]
    except json.JSONDecodeError:
        return {}
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("variables", "open_ports", "names"),
    [
        ({}, {HTTP}, [HOST]),
        ({"traefik_acme_challenge": "tls"}, {HTTPS}, [HOST]),
        ({"traefik_acme_challenge": "tls", "traefik_accept_traceparent": False}, {HTTPS}, [HOST]),
        (HTTPREQ, set[int](), [DOMAIN, f"*.{DOMAIN}"]),
    ],
    ids=["http", "tls", "tls-replaced-traces", "dns"],
)
def test_a_certificate_is_obtained_with_only_the_documented_port_open(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, Any],
    open_ports: set[int],
    names: list[str],
) -> None:
    with at_home(tmp_path, open_ports) as home, home.traefik(monkeypatch, **variables) as traefik:
        certificate = home.served(HOST, traefik)

    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert sorted(extension.value.get_values_for_type(x509.DNSName)) == sorted(names)
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)


def test_the_authority_knows_the_owners_address_and_a_restart_keeps_the_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "volume/acme.json"
    with at_home(tmp_path, {HTTP}) as home:
        with home.traefik(monkeypatch) as traefik:
            obtained = home.served(HOST, traefik)
            wait_until(lambda: _stored(file).get("Certificates"), file.read_text)
        account = _stored(file)["Account"]
        with home.traefik(monkeypatch) as traefik:
            served = home.served(HOST, traefik)

    assert account["Registration"]["body"]["contact"] == ["mailto:owner@example.org"]
    assert served.serial_number == obtained.serial_number
