"""The cluster's certificates, and the kubeconfigs and tokens made with them."""

import base64
import contextlib
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

from . import console, network, paths, programs

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


# Whose certificate is in which kubeconfig, under which name.
KUBECONFIGS = {
    "client": "admin",
    "controller": "controller",
    "scheduler": "scheduler",
    "proxy": "kubeproxy",
    "kubelet": "kubelet",
}


def _node_name() -> str:
    return socket.gethostname().lower()


def _openssl(*arguments: str | Path) -> str:
    command = ["openssl", *map(str, arguments)]
    environment = programs.bundled_environment()
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return done.stdout


def _make_key(file: Path) -> None:
    # Canonical's are RSA keys; a dozen of those take ten seconds of a busy machine's time.
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", file)


def _issue(name: str, subject: str, *arguments: str | Path, days: int, issuer: str | None = None) -> None:
    """Make NAME.crt, and NAME.key where there is none, self-signed unless there is an issuer."""
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
    """Return csr.conf's template with further subject names; those it has already are not repeated."""
    known = set(re.findall(r"^(?:DNS|IP)\.\d+\s*=\s*(\S+)", template, re.MULTILINE))
    for name in (name for name in names if name not in known):
        kind = "IP" if re.fullmatch(r"[\d.]+|[0-9a-fA-F:]*:[0-9a-fA-F:]*", name) else "DNS"
        used = [int(n) for n in re.findall(rf"^{kind}\.(\d+)", template, re.MULTILINE)]
        template = template.replace("#MOREIPS", f"{kind}.{max(used) + 1} = {name}\n#MOREIPS")
    return template


def add_names(names: list[str]) -> None:
    """Add subject names to the template of server.crt; the kicker reissues the certificate."""
    template = paths.certificate("csr.conf.template")
    old = template.read_text()
    new = with_names(old, names)
    if new != old:
        template.write_text(new)


def request_is_outdated() -> bool:
    """Return whether server.crt would look different if it were issued now."""
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
    """Issue the certificate by which the API server speaks to aggregated APIs."""
    name, extensions = "front-proxy-client", _extensions("component")
    _issue(name, f"/CN={name}", *extensions, days=SERVER_DAYS, issuer="front-proxy-ca")


def issue_all() -> None:
    """Make an authority, everything it signs, and the kubeconfigs."""
    for name, subject in {"ca": "/CN=10.152.183.1", "front-proxy-ca": "/CN=front-proxy-ca"}.items():
        paths.certificate(f"{name}.key").unlink(missing_ok=True)
        _issue(name, subject, *_extensions("authority"), days=AUTHORITY_DAYS)
    issue_server()
    issue_front_proxy_client()
    for name, subject in _components().items():
        names = [f"DNS:{_node_name()}", *(f"IP:{address}" for address in network.addresses())]
        # kubelet.crt also serves; MicroK8s does not renew it when an address changes.
        served = ["-addext", f"subjectAltName={','.join(names)}"] if name == "kubelet" else []
        _issue(name, subject, *_extensions("component"), *served, days=COMPONENT_DAYS, issuer="ca")
    _write_kubeconfigs()


def create() -> None:
    """Make all certificates, keys and tokens of a new node."""
    issue_all()
    _make_key(paths.certificate("serviceaccount.key"))
    paths.credential("callback-token.txt").write_text(f"{secrets.token_hex(32)}\n")
    for empty in ("cluster-tokens.txt", "persistent-cluster-tokens.txt", "certs-request-tokens.txt"):
        paths.credential(empty).touch()


def _embedded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def _write_kubeconfigs() -> None:
    for name, user in KUBECONFIGS.items():
        if name == "client":
            # `microk8s config` hands this one out, so it must not refer to files.
            certificate = f"client-certificate-data: {_embedded(paths.certificate('client.crt'))}"
            key = f"client-key-data: {_embedded(paths.certificate('client.key'))}"
        else:
            certificate = f"client-certificate: {paths.current()}/certs/{name}.crt"
            key = f"client-key: {paths.current()}/certs/{name}.key"
        file = paths.credential(f"{name}.config")
        file.touch(mode=0o660)
        file.write_text(kubeconfig(user, _embedded(paths.certificate("ca.crt")), certificate, key))


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
    """Return the whole days until a certificate expires, negative when it has."""
    shown = _openssl("x509", "-enddate", "-noout", "-in", paths.certificate(name))
    expiry = ssl.cert_time_to_seconds(shown.strip().removeprefix("notAfter="))
    return int((expiry - time.time()) // 86400)


def refresh(name: str) -> None:
    """Replace a certificate, with all that hangs on it, and keep a copy of the old ones."""
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
    """Keep arguments, keys and credentials from everybody but root and the group microk8s."""
    for top in ("args", "certs", "credentials", "var/lock"):
        directory = paths.data() / top
        give_to_group(directory, *directory.rglob("*"))


def give_to_group(*files: Path) -> None:
    """Let root and the group microk8s, where there is one, read and write files, and nobody else."""
    for file in files:
        file.chmod((file.stat().st_mode | 0o660 | (0o110 if file.is_dir() else 0)) & ~0o007)
        with contextlib.suppress(LookupError):
            shutil.chown(file, group="microk8s")
