"""The cluster's certificates, and the kubeconfigs and tokens that use them."""

import base64
import contextlib
import hashlib
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from . import console, network, paths, programs, tokens

AUTHORITY_DAYS = 3650
COMPONENT_DAYS = 3650
# MicroK8s never renews these two by itself; `refresh-certs` does.
SERVER_DAYS = 365

REPLACEABLE = {"ca.crt": "CA", "server.crt": "server", "front-proxy-client.crt": "front proxy client"}


def _components() -> dict[str, str]:
    """Return the subject of every client certificate, by name."""
    return {
        "client": "/O=system:masters/CN=admin",
        "controller": "/CN=system:kube-controller-manager",
        "scheduler": "/CN=system:kube-scheduler",
        "proxy": "/CN=system:kube-proxy",
        "kubelet": f"/O=system:nodes/CN=system:node:{_node_name()}",
        "apiserver-kubelet-client": "/O=system:masters/CN=kube-apiserver-kubelet-client",
    }


# Certificates, and the names of their kubeconfigs.
KUBECONFIGS = {
    "client": "admin",
    "controller": "controller",
    "scheduler": "scheduler",
    "proxy": "kubeproxy",
    "kubelet": "kubelet",
}


def _node_name() -> str:
    return socket.gethostname().lower()


def _openssl(*arguments: str | Path, text: str | None = None) -> str:
    command = ["openssl", *map(str, arguments)]
    environment = programs.bundled_environment()
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, input=text)
    return done.stdout


def _make_key(file: Path) -> None:
    # Canonical's are RSA keys; a dozen of those take ten seconds on a busy machine.
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", file)


def _issue(name: str, subject: str, *arguments: str | Path, days: int, issuer: str | None = None) -> None:
    """Create NAME.crt, and NAME.key if missing, self-signed unless there is an issuer."""
    key = paths.certificate(f"{name}.key")
    if not key.exists():
        _make_key(key)
    signed_by: list[str | Path] = []
    if issuer:
        signed_by = ["-CA", paths.certificate(f"{issuer}.crt"), "-CAkey", paths.certificate(f"{issuer}.key")]
    target = paths.certificate(f"{name}.crt")
    described = ("-key", key, "-subj", subject, "-days", str(days), "-out", target)
    _openssl("req", "-x509", "-new", "-sha256", *described, *signed_by, *arguments)


def _extensions(section: str) -> list[str | Path]:
    return ["-config", paths.snap() / "certs/openssl.conf", "-extensions", section]


def rendered_request(template: str, addresses: list[str]) -> str:
    """Return csr.conf: its template with the host's addresses, numbered after the template's own."""
    number = max((int(n) for n in re.findall(r"^IP\.(\d+)", template, re.MULTILINE)), default=0)
    lines = [f"IP.{n} = {address}" for n, address in enumerate(addresses, start=number + 1)]
    return template.replace("#MOREIPS", "\n".join(lines))


def with_names(template: str, names: list[str]) -> str:
    """Return csr.conf's template with additional subject names, without duplicates."""
    known = set(re.findall(r"^(?:DNS|IP)\.\d+\s*=\s*(\S+)", template, re.MULTILINE))
    for name in (name for name in names if name not in known):
        kind = "IP" if re.fullmatch(r"[\d.]+|[0-9a-fA-F:]*:[0-9a-fA-F:]*", name) else "DNS"
        used = [int(n) for n in re.findall(rf"^{kind}\.(\d+)", template, re.MULTILINE)]
        template = template.replace("#MOREIPS", f"{kind}.{max(used) + 1} = {name}\n#MOREIPS")
    return template


def set_names(names: list[str]) -> None:
    """Set the additional subject names in the template of server.crt; the kicker reissues the certificate."""
    template = (paths.snap() / "certs/csr.conf.template").read_text()
    paths.certificate("csr.conf.template").write_text(with_names(template, names))


def request_is_outdated() -> bool:
    """Return whether a new server.crt would differ from the current one."""
    template = paths.certificate("csr.conf.template").read_text()
    rendered = rendered_request(template, network.addresses())
    issued = paths.certificate("csr.conf")
    return not issued.exists() or issued.read_text() != rendered


def issue_server() -> None:
    """Issue server.crt for the names of the template and the addresses of the host."""
    request = paths.certificate("csr.conf")
    template = paths.certificate("csr.conf.template").read_text()
    request.write_text(rendered_request(template, network.addresses()))
    extensions = ("-config", request, "-extensions", "v3_ext")
    _issue("server", "/CN=127.0.0.1", *extensions, days=SERVER_DAYS, issuer="ca")


def issue_front_proxy_client() -> None:
    """Issue the certificate that the API server presents to aggregated APIs."""
    name, extensions = "front-proxy-client", _extensions("component")
    _issue(name, f"/CN={name}", *extensions, days=SERVER_DAYS, issuer="front-proxy-ca")


def issue_all() -> None:
    """Create a CA, all certificates that it signs, and the kubeconfigs."""
    for name, subject in {"ca": "/CN=10.152.183.1", "front-proxy-ca": "/CN=front-proxy-ca"}.items():
        paths.certificate(f"{name}.key").unlink(missing_ok=True)
        _issue(name, subject, *_extensions("authority"), days=AUTHORITY_DAYS)
    issue_server()
    issue_front_proxy_client()
    issue_components()


def issue_components() -> None:
    """Issue the client certificates of this node's own cluster, and the kubeconfigs."""
    for name, subject in _components().items():
        extensions = (*_extensions("component"), *_served(name))
        _issue(name, subject, *extensions, days=COMPONENT_DAYS, issuer="ca")
    write_kubeconfigs(KUBECONFIGS)


def _served(name: str) -> list[str]:
    """Return the names of kubelet.crt, which also serves; MicroK8s does not renew it for a new address."""
    names = [f"DNS:{_node_name()}", *(f"IP:{address}" for address in network.addresses())]
    return ["-addext", f"subjectAltName={','.join(names)}"] if name == "kubelet" else []


def request(name: str) -> str:
    """Return a request to sign a client certificate of this node, for the key that it has."""
    key, subject = paths.certificate(f"{name}.key"), _components()[name]
    configuration = ("-config", paths.snap() / "certs/openssl.conf")
    return _openssl("req", "-new", "-sha256", *configuration, "-key", key, "-subj", subject, *_served(name))


def sign(text: str) -> str:
    """Return the certificate for a request of another node."""
    authority = ("-CA", paths.certificate("ca.crt"), "-CAkey", paths.certificate("ca.key"))
    extensions = ("-extfile", paths.snap() / "certs/openssl.conf", "-extensions", "component")
    described = ("-days", str(COMPONENT_DAYS), *authority, *extensions, "-copy_extensions", "copy")
    return _openssl("x509", "-req", "-sha256", *described, text=text)


def fingerprint() -> str:
    """Return what a joining node compares: the first 12 digits of the SHA-256 of server.crt."""
    certificate = ssl.PEM_cert_to_DER_cert(paths.certificate("server.crt").read_text())
    return hashlib.sha256(certificate).hexdigest()[:12]


def create() -> None:
    """Create all certificates, keys and tokens of a new node."""
    issue_all()
    _make_key(paths.certificate("serviceaccount.key"))
    for empty in (tokens.CLUSTER, tokens.PERSISTENT, tokens.CERTIFICATE_REQUESTS):
        paths.credential(empty).touch()


def embedded(file: Path) -> str:
    """Return a file as kubeconfigs have it."""
    return base64.b64encode(file.read_bytes()).decode()


def write_kubeconfigs(names: Iterable[str], authority: str = "ca") -> None:
    """Write kubeconfigs for the API server on this host, which has a certificate of this authority."""
    authority_data = embedded(paths.certificate(f"{authority}.crt"))
    for name in names:
        if name == "client":
            # `microk8s config` prints this one, so it must not refer to files.
            certificate = f"client-certificate-data: {embedded(paths.certificate('client.crt'))}"
            key = f"client-key-data: {embedded(paths.certificate('client.key'))}"
        else:
            certificate = f"client-certificate: {paths.current()}/certs/{name}.crt"
            key = f"client-key: {paths.current()}/certs/{name}.key"
        file = paths.credential(f"{name}.config")
        file.touch(mode=0o660)
        file.write_text(kubeconfig(KUBECONFIGS[name], authority_data, certificate, key))


def kubeconfig(user: str, authority: str, certificate: str, key: str) -> str:
    """Return a kubeconfig for the API server on this host."""
    return f"""\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {authority}
    server: https://127.0.0.1:16443
  name: microk8s-cluster
contexts:
- context:
    cluster: microk8s-cluster
    user: {user}
  name: microk8s
current-context: microk8s
kind: Config
preferences: {{}}
users:
- name: {user}
  user:
    {certificate}
    {key}
"""


def days_left(name: str) -> int:
    """Return the whole days until a certificate expires, negative if it has expired."""
    shown = _openssl("x509", "-enddate", "-noout", "-in", paths.certificate(name))
    expiry = ssl.cert_time_to_seconds(shown.strip().removeprefix("notAfter="))
    return int((expiry - time.time()) // 86400)


def refresh(name: str) -> None:
    """Replace a certificate and everything that depends on it, and keep a backup of the old files."""
    backup = paths.data() / "certs-backup"
    console.say(f"Taking a backup of the current certificates under {backup}/")
    for directory in ("certs", "credentials"):
        shutil.copytree(paths.data() / directory, backup / directory, dirs_exist_ok=True)
    console.say("Creating new certificates")
    ISSUERS[name]()
    restrict()


ISSUERS = {
    "ca.crt": issue_all,
    "server.crt": issue_server,
    "front-proxy-client.crt": issue_front_proxy_client,
}


def restrict() -> None:
    """Restrict access to arguments, keys and credentials to root and the group microk8s."""
    for top in ("args", "certs", "credentials", "var/lock"):
        directory = paths.data() / top
        give_to_group(directory, *directory.rglob("*"))


def give_to_group(*files: Path) -> None:
    """Make files readable and writable for root and, if it exists, the group microk8s only."""
    for file in files:
        file.chmod((file.stat().st_mode | 0o660 | (0o110 if file.is_dir() else 0)) & ~0o007)
        with contextlib.suppress(LookupError):
            shutil.chown(file, group="microk8s")
