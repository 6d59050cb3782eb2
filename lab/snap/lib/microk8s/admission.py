"""What the cluster agent answers to a node that wants to join."""

import threading
from http import HTTPStatus
from typing import Any

from . import arguments, calico, certificates, console, datastore, kubernetes, paths, tokens

API_TIMEOUT = 60
_one_at_a_time = threading.Lock()


class RefusedError(Exception):
    """A refused request, with the HTTP status of the answer."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR) -> None:
        super().__init__(message)
        self.status = status


def admit(request: dict[str, Any], joiner: str, contacted: str) -> dict[str, Any]:
    """Return what a node needs to join, and prepare this cluster for another one.

    Whoever does not say that it is a worker gets the keys of the cluster, as from MicroK8s.

    Args:
        request: The joining node's request.
        joiner: The address that it comes from.
        contacted: The address of this node that it has contacted.

    Raises:
        RefusedError: The node may not join. The token is used up all the same.
    """
    token = str(request.get("token", ""))
    _check(request, token, joiner, contacted)
    worker = request.get("worker") in (True, "as-worker")
    with _one_at_a_time:
        datastore.open_to_members(contacted)
        _reach(joiner)
        paths.lock("no-cert-reissue").touch()
        if worker:
            tokens.add(tokens.CERTIFICATE_REQUESTS, f"{token}-kubelet", f"{token}-proxy")
    certificates.restrict()
    return {
        "ca": paths.certificate("ca.crt").read_text(),
        "ca_key": None if worker else paths.certificate("ca.key").read_text(),
        "service_account_key": "" if worker else paths.certificate("serviceaccount.key").read_text(),
        "callback_token": tokens.callback(),
        "apiport": arguments.get("kube-apiserver", "--secure-port"),
        "api_authz_mode": arguments.get("kube-apiserver", "--authorization-mode"),
        "kubelet_args": arguments.path("kubelet").read_text(),
        "hostname_override": joiner,
        "control_plane_nodes": kubernetes.control_plane_addresses(),
        "cluster_cidr": arguments.get("kube-proxy", "--cluster-cidr"),
    }


def _check(request: dict[str, Any], token: str, joiner: str, contacted: str) -> None:
    if not tokens.may_join(token):
        raise RefusedError("invalid token")
    port = arguments.agent_port()
    if str(request.get("port")) != str(port):
        other = f"the port of the cluster agent port has to be set to {port}"
        raise RefusedError(other, HTTPStatus.BAD_GATEWAY)
    if joiner == contacted:
        same = f"the joining node has the same IP ({joiner}) as the node we contact"
        raise RefusedError(same, HTTPStatus.SERVICE_UNAVAILABLE)


def _reach(joiner: str) -> None:
    """Make Calico choose each node's address by its route to the first node that joined."""
    manifest = paths.data() / "args/cni-network/cni.yaml"
    text = manifest.read_text() if manifest.exists() else ""
    if (reaching := calico.reaching(text, joiner)) == text:
        return
    manifest.write_text(reaching)
    # The datastore may just have started again.
    kubernetes.wait_until_ready(API_TIMEOUT, with_node=False)
    console.say(kubernetes.kubectl("apply", f"--filename={manifest}").rstrip())


def sign(request: dict[str, Any]) -> dict[str, Any]:
    """Return the certificate for a signing request of a node that was admitted.

    Raises:
        RefusedError: The token is not one that `admit` has made, or was used before.
    """
    if not tokens.consume(tokens.CERTIFICATE_REQUESTS, str(request.get("token", ""))):
        raise RefusedError("invalid token")
    return {"certificate": certificates.sign(str(request.get("request", "")))}
