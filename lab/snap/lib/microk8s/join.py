"""`microk8s join`: this node becomes a worker of another cluster."""

import argparse
import hashlib
import http.client
import ipaddress
import shutil
import socket
import ssl
import sys
from typing import Any, NamedTuple

from . import arguments, certificates, console, paths, peers, proxy, services, tokens

LEAST_FINGERPRINT = 12
NO_CONTROL_PLANES = "joining as a control plane is not part of the lab's MicroK8s"
RESTARTED = ("kubelite", "etcd", "apiserver-kicker", "apiserver-proxy", "k8s-dqlite")
LABELS = "microk8s.io/cluster=true,node.kubernetes.io/microk8s-worker=microk8s-worker"


class InvalidError(ValueError):
    """A connection string that MicroK8s rejects."""


class Invitation(NamedTuple):
    """What `add-node` has printed: an endpoint, a token, and the start of its fingerprint or nothing."""

    address: str
    port: int
    token: str
    check: str


def parse(text: str) -> Invitation:
    """Return the parts of `ADDRESS:PORT/TOKEN[/CHECK]`.

    Raises:
        InvalidError: It has another form, or a host name, which MicroK8s does not take.
    """
    endpoint, *secrets = text.split("/")
    if len(secrets) not in {1, 2} or endpoint.count(":") != 1:
        raise InvalidError("Expected format: <master_IP>:<master_PORT>/<token>[/<fingerprint>]")
    address, port = endpoint.split(":")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise InvalidError("Invalid master IP") from None
    if not port.isdecimal():
        raise InvalidError("Master PORT not a number")
    if not 1 <= int(port) <= 65535:
        raise InvalidError("Master PORT not in range 1:65535")
    token, check = [*secrets, ""][:2]
    if len(token) < tokens.LEAST_LENGTH:
        raise InvalidError(f"Cluster token size should be at least {tokens.LEAST_LENGTH} bytes")
    if len(secrets) == 2 and len(check) < LEAST_FINGERPRINT:
        raise InvalidError(f"Fingerprint should be at least {LEAST_FINGERPRINT} bytes")
    return Invitation(address, int(port), token, check)


def main(words: list[str]) -> None:
    """Join a cluster. Nothing stops a node that is in one, and a failure leaves the lock `join-in-progress`.

    Raises:
        SystemExit: With MicroK8s' exit code for the error.
    """
    if (paths.common() / "default-storage").is_dir():
        console.say("WARNING: Hostpath storage is enabled and is not suitable for multi node clusters.")
        console.say()
    invitation, options = _options(words)
    if not options.worker:
        console.leave(f"Joining process failed: {NO_CONTROL_PLANES}.", 1)
    paths.lock("join-in-progress").touch(mode=0o700)
    console.say(f"Contacting cluster at {invitation.address}")
    info = _ask(invitation._replace(check="") if options.skip_verify else invitation)
    _take_over(info, invitation)
    _become_worker()
    paths.lock("join-in-progress").unlink()
    console.say("Successfully joined the cluster.")


def _options(words: list[str]) -> tuple[Invitation, argparse.Namespace]:
    parser = argparse.ArgumentParser("microk8s join", allow_abbrev=False)
    parser.add_argument("connection", help="the endpoint of the cluster: ADDRESS:PORT/TOKEN[/CHECK]")
    parser.add_argument("--worker", action="store_true", help="do not run the control plane")
    parser.add_argument("--controlplane", action="store_false", dest="worker", help="run the control plane")
    parser.add_argument("--skip-verify", action="store_true", help="do not compare the fingerprint")
    parser.add_argument("--disable-low-memory-guard", action="store_true")
    options = parser.parse_args(words)
    try:
        return parse(options.connection), options
    except InvalidError as error:
        console.leave(f"Invalid connection: {error}", 1)


def _ask(invitation: Invitation) -> dict[str, Any]:
    """Return the cluster's answer to this node's request.

    Raises:
        SystemExit: With 1 if the cluster is not reachable, 4 if it is another one, 6 if it refuses.
    """
    opened = peers.connection(invitation.address, invitation.port)
    try:
        opened.connect()
        _verify(opened, invitation)
        request = {
            "token": invitation.token,
            "hostname": socket.gethostname().lower(),
            "port": str(arguments.agent_port()),
            "worker": "as-worker",
            "can_handle_x509_auth": True,
            "can_handle_custom_etcd": True,
        }
        status, answer = peers.post(opened, peers.JOIN_PATH, request)
    except ssl.SSLError as error:
        console.leave(f"Peer node verification failed ({error}).", 4)
    except (OSError, http.client.HTTPException) as error:
        console.leave(f"Please ensure the master node is reachable. {error}", 1)
    if status != http.client.OK:
        console.leave(" ".join(["Connection failed.", answer.get("error", ""), f"({status})."]), 6)
    return dict(answer)


def _verify(opened: http.client.HTTPSConnection, invitation: Invitation) -> None:
    certificate = opened.sock.getpeercert(binary_form=True)
    if not hashlib.sha256(certificate or b"").hexdigest().startswith(invitation.check):
        console.say(
            f"Joining cluster failed. Could not verify the identity of {invitation.address}."
            " Use '--skip-verify' to skip server certificate check."
        )
        sys.exit(4)


def _take_over(info: dict[str, Any], invitation: Invitation) -> None:
    """Write the cluster's settings and certificates into the files of this node."""
    _change_network(info["cluster_cidr"])
    paths.certificate("ca.remote.crt").write_text(info["ca"])
    port, mode = info["apiport"], info["api_authz_mode"]
    _change("kube-apiserver", {"--authorization-mode": mode, "--secure-port": port})
    for name in ("proxy", "kubelet"):
        _get_certificate(name, invitation)
    _replace_kubelet_arguments(info["kubelet_args"], info["hostname_override"])
    _change("kube-proxy", {"--master": None, "--hostname-override": None})
    certificates.write_kubeconfigs(("proxy", "kubelet"), authority="ca.remote")
    paths.credential(tokens.CALLBACK).write_text(info["callback_token"])
    paths.lock("no-apiserver-proxy").unlink(missing_ok=True)
    proxy.write_endpoints([f"{invitation.address}:{port}"])


def _change_network(cluster: str) -> None:
    own = arguments.get("kube-proxy", "--cluster-cidr")
    if cluster != own:
        console.say(
            "WARNING: Joining a cluster that has a different CIDR."
            " The kube-proxy CIDR configuration will be overwritten."
        )
        console.say(f"Cluster CIDR: {cluster} -- Node CIDR: {own}(will be overwritten)")
        _change("kube-proxy", {"--cluster-cidr": cluster})


def _get_certificate(name: str, invitation: Invitation) -> None:
    """Have the cluster sign a certificate for a key of this node."""
    request = {"token": f"{invitation.token}-{name}", "request": certificates.request(name)}
    opened = peers.connection(invitation.address, invitation.port)
    status, answer = peers.post(opened, peers.SIGN_PATH, request)
    if status != http.client.OK:
        console.leave(f"Failed to sign {name} certificate ({status}). {answer.get('error', '')}", 1)
    paths.certificate(f"{name}.crt").write_text(answer["certificate"])


def _replace_kubelet_arguments(text: str, address: str) -> None:
    """Take the arguments of the contacted node's kubelet: none of this node's own is left."""
    arguments.path("kubelet").write_text(text)
    changes = {"--hostname-override": None, "--node-labels": LABELS}
    changes["--client-ca-file"] = "${SNAP_DATA}/certs/ca.remote.crt"
    _change("kubelet", changes | ({"--node-ip": address} if "--node-ip" in text else {}))


def _change(service: str, changes: dict[str, str | None]) -> None:
    file = arguments.path(service)
    shutil.copyfile(file, f"{file}.backup")
    arguments.change(service, changes)


def _become_worker() -> None:
    for name in ("clustered.lock", "no-k8s-dqlite", "no-cert-reissue"):
        paths.lock(name).touch(mode=0o700)
    certificates.restrict()
    for service in RESTARTED:
        services.restart(service)
    console.say(
        "\nThe node has joined the cluster and will appear in the nodes list in a few seconds.\n\n"
        "This worker node gets automatically configured with the API server endpoints.\n"
        "If the API servers are behind a loadbalancer please set the '--refresh-interval' to '0s' in:\n"
        "    /var/snap/microk8s/current/args/apiserver-proxy\n"
        "and replace the API server endpoints with the one provided by the loadbalancer in:\n"
        "    /var/snap/microk8s/current/args/traefik/provider.yaml\n"
    )
