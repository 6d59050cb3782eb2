"""The module microk8s_ready."""

from __future__ import annotations

DOCUMENTATION = """
module: microk8s_ready
short_description: Waits until MicroK8s is ready
description:
  - Waits until the launch configuration is applied, the services run without interruption, the node is ready,
    the workloads in kube-system are rolled out, and RBAC is enforced.
  - On a worker, which has no control plane, waits until it can reach that of its cluster.
  - Does not wait for pods on other nodes that do not answer.
  - Fails with the service that does not run, its last log lines and the likely cause. Changes nothing.
options:
  deployments:
    type: list
    elements: str
    default: []
    description: The deployments in kube-system that must exist.
  unawaited:
    type: list
    elements: str
    default: []
    description: The workloads in kube-system that may still be starting.
  timeout:
    type: int
    default: 600
    description: Seconds to wait, without the time to pull images.
  names:
    type: list
    elements: str
    default: []
    description: The names and addresses that the certificate of the API server must have.
  address:
    type: str
    default: ""
    description: The address of the node, which the certificates of the API server and the kubelet must have.
  certificate_warning_days:
    type: int
    default: 30
    description: Days before the expiry of a certificate from which there is a warning.
author: The homeserver.stack maintainers (!UNKNOWN)
extends_documentation_fragment: homeserver.stack.read_only
"""

EXAMPLES = """
- homeserver.stack.microk8s_ready:
    deployments: [coredns]
"""

RETURN = """
node_object:
  description: Labels, annotations and taints of the node; empty on a worker, which cannot read them.
  type: dict
  returned: always
calico_address:
  description: The address that Calico uses for the node.
  type: str
  returned: always
certificates:
  description: The days until each certificate that the host needs expires, by name.
  type: dict
  returned: always
kubeconfig_sha256:
  description: The checksum of the admin's kubeconfig for the host itself, without surrounding white space.
  type: str
  returned: always
missing_names:
  description: The names and addresses that a certificate must have and lacks.
  type: list
  elements: str
  returned: always
node:
  description: The name of the node.
  type: str
  returned: always
"""

import hashlib
import http.client
import ipaddress
import json
import math
import socket
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.pulls import Pulls
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.rollout import (
    is_ready,
    readiness,
    troubles,
)
from ansible_collections.homeserver.stack.plugins.module_utils.nodes import certificates
from ansible_collections.homeserver.stack.plugins.module_utils.nodes.diagnosis import (
    likely_cause,
    telling_lines,
)
from ansible_collections.homeserver.stack.plugins.module_utils.nodes.membership import is_worker, node_name

_MICROK8S = "/snap/bin/microk8s"
_LAUNCHER = Path("/var/snap/microk8s/common/etc/launcher")
_KUBECONFIG = Path("/var/snap/microk8s/current/credentials/client.config")
_SERVICES = ("containerd", "k8s-dqlite", "kubelite", "cluster-agent")
_SERVICES_OF_A_WORKER = ("containerd", "kubelite", "cluster-agent", "apiserver-proxy")
_PATIENCE = 30  # seconds in which a service may fail and recover, for example while its configuration changes
_RESTARTS = 4
# Seconds after which a failed service counts as broken: MicroK8s itself restarts some, half a minute later.
_FAILED = 90
# With an invalid flag, kubelite crashes in a loop, and the API answers for some seconds each time. So it must
# run for this many seconds after the kubelet is healthy, or have been started long before.
_STEADY = 15
_LONG = 120
_INTERVAL = 2
_KUBELITE = "snap.microk8s.daemon-kubelite.service"
_API_PORT = 16443
_KUBELET_PORT = 10250
_KUBELET_HEALTH_PORT = 10248
_ERROR = 500


class UnfitError(Exception):
    """MicroK8s is not ready; the message says why."""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "deployments": {"type": "list", "elements": "str", "default": []},
            "unawaited": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 600},
            "names": {"type": "list", "elements": "str", "default": []},
            "address": {"default": ""},
            "certificate_warning_days": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    try:
        node = wait(module.params["deployments"], module.params["unawaited"], module.params["timeout"])
    except UnfitError as error:
        module.fail_json(msg=str(error))
    days_left = certificates.days_left()
    for warning in certificates.warnings(days_left, module.params["certificate_warning_days"]):
        module.warn(warning)
    kubeconfig = hashlib.sha256(_KUBECONFIG.read_bytes().strip()).hexdigest()
    module.exit_json(
        calico_address=_calico_address(node),
        certificates=days_left,
        kubeconfig_sha256=kubeconfig,
        missing_names=_missing_names(module.params["names"], module.params["address"]),
        node=node_name(),
        node_object=node,
    )


def wait(deployments: list[str], unawaited: list[str], timeout: int) -> dict[str, Any]:
    """Wait at most `timeout` seconds, not counting image pulls; return the node's object.

    A worker cannot read the object, so there it is empty.

    Raises:
        UnfitError: it is not ready by then, or a service does not start.
    """
    started = time.monotonic()
    services, images = Services(), Images()
    seen: list[dict[str, Any]] = []
    while lacking := services.look() or _lacking(deployments, unawaited, images, seen) or services.unsteady():
        waited = time.monotonic() - started - images.seconds
        if waited > _PATIENCE and (broken := services.broken()):
            raise UnfitError(_report(lacking, broken))
        if waited > timeout:
            raise UnfitError(_report(f"{lacking}, after {timeout} s", ""))
        time.sleep(_INTERVAL)
    return _compared(_nodes(seen).get(node_name()))


class Services:
    """The events of MicroK8s' services while they are watched."""

    def __init__(self) -> None:
        """Start without events."""
        self._restarts: dict[str, int] = {}
        self._crashes: Counter[str] = Counter()
        self._failed: dict[str, float] = {}
        self._started = ""
        self._well_since = math.inf

    def look(self) -> str:
        """Compare with the previous check; return why Kubernetes does not run, or an empty text."""
        units = _units()
        self._count(units)
        (kubelite,) = (unit for unit in units if unit["Id"] == _KUBELITE)
        well = kubelite["ActiveState"] == "active" and _kubelet_is_well()
        if kubelite["ActiveEnterTimestampMonotonic"] != self._started or not well:
            self._started, self._well_since = kubelite["ActiveEnterTimestampMonotonic"], math.inf
        if well:
            self._well_since = min(self._well_since, time.monotonic())
        return "" if well else "the kubelet does not run"

    def unsteady(self) -> str:
        """Return why Kubernetes may still crash, or an empty text."""
        now = time.monotonic()
        # Microseconds of the same clock as Python's.
        since_start = now - int(self._started) / 1_000_000
        steady = since_start > _LONG or now - self._well_since > _STEADY
        return "" if steady else f"Kubernetes has not run for {_STEADY} s without interruption"

    def _count(self, units: list[dict[str, str]]) -> None:
        now = time.monotonic()
        for unit in units:
            name, restarts = unit["Id"], int(unit["NRestarts"])
            before = self._restarts.get(name, restarts)
            # A restart by command resets the counter.
            self._crashes[name] += restarts - before if restarts >= before else restarts
            self._restarts[name] = restarts
            if unit["ActiveState"] == "failed":
                self._failed.setdefault(name, now)
            else:
                self._failed.pop(name, None)

    def broken(self) -> str:
        """Return a service that keeps crashing, or that has failed and is not started again."""
        crashing = [name for name, crashes in self._crashes.items() if crashes >= _RESTARTS]
        long_ago = time.monotonic() - _FAILED
        failed = [name for name, since in self._failed.items() if since < long_ago]
        return ([*crashing, *failed] or [""])[0]


class Images:
    """The images that pods in kube-system wait for.

    Attributes:
        seconds: how long some were being pulled.
    """

    def __init__(self) -> None:
        """Start without pulls."""
        self._pulls = Pulls(self)
        self._looked = 0.0
        self.seconds = 0.0

    def look(self, pods: list[dict[str, Any]]) -> None:
        """Add the time since the previous check if an image is being pulled."""
        now = time.monotonic()
        if self._pulls.look([(pod, trouble) for pod in pods for trouble in troubles(pod)], now):
            self.seconds += now - self._looked if self._looked else 0.0
        self._looked = now

    def events(self, namespace: str, field_selector: str) -> list[dict[str, Any]]:
        """Return the events of a namespace whose fields match."""
        where = (f"--namespace={namespace}", f"--field-selector={field_selector}", "--output=json")
        listing = _kubectl("get", "events", *where)
        return json.loads(listing.stdout)["items"] if listing.returncode == 0 else []


def _lacking(deployments: list[str], unawaited: list[str], images: Images, seen: list[dict[str, Any]]) -> str:
    """Return the first reason why MicroK8s is not ready, or an empty text; keep the objects in `seen`."""
    if pending := sorted(_LAUNCHER.glob("*.yaml")):
        return f"the launch configuration {pending[0]} is not applied"
    if is_worker():
        return _closed_way()
    listing = _kubectl(
        "get", "nodes,deployments.apps,daemonsets.apps,pods", "--namespace=kube-system", "--output=json"
    )
    if listing.returncode:
        return f"the API server does not answer: {''.join(listing.stderr.splitlines()[-1:])}"
    seen[:] = json.loads(listing.stdout)["items"]
    images.look([entry for entry in seen if entry["kind"] == "Pod"])
    return _unready_node(seen) or _unfinished_workload(seen, deployments, unawaited) or _open_access()


def _closed_way() -> str:
    """Return why a worker does not reach the API of its cluster, or an empty text."""
    context = ssl.create_default_context(cafile=str(certificates.authority()))
    connection = http.client.HTTPSConnection("127.0.0.1", _API_PORT, timeout=5, context=context)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
        # An anonymous client has no permissions, but it has reached the API server.
        return "" if status < _ERROR else f"the API server of its cluster answers with {status}"
    except (OSError, http.client.HTTPException) as error:
        return f"it does not reach the API server of its cluster ({error}): is the founder's port 16443 open?"
    finally:
        connection.close()


def _kubelet_is_well() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", _KUBELET_HEALTH_PORT, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().read() == b"ok"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _unready_node(objects: list[dict[str, Any]]) -> str:
    name, nodes = node_name(), _nodes(objects)
    if name not in nodes:
        return f"the node {name} has not registered"
    node = nodes[name]
    return "" if is_ready(node) else f"the node {name} is not ready: {readiness(node)['message']}"


def _nodes(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {entry["metadata"]["name"]: entry for entry in objects if entry["kind"] == "Node"}


def _unfinished_workload(objects: list[dict[str, Any]], deployments: list[str], unawaited: list[str]) -> str:
    kinds = ("Deployment", "DaemonSet")
    workloads = {entry["metadata"]["name"]: entry for entry in objects if entry["kind"] in kinds}
    missing = sorted(set(deployments) - workloads.keys())
    silent = sum(not is_ready(entry) for entry in objects if entry["kind"] == "Node")
    waiting = [
        name
        for name, entry in workloads.items()
        if name not in unawaited and not _is_rolled_out(entry, silent)
    ]
    if not (missing or waiting):
        return ""
    return f"not running in kube-system: {', '.join(missing + waiting)}"


def _is_rolled_out(workload: dict[str, Any], silent: int) -> bool:
    """Return whether all pods run, except those of a DaemonSet on nodes that do not answer."""
    status = workload["status"]
    if status.get("observedGeneration") != workload["metadata"]["generation"]:
        return False
    if workload["kind"] == "DaemonSet":
        wanted = status["desiredNumberScheduled"] - silent
        return bool(min(status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)) >= wanted)
    wanted = workload["spec"]["replicas"]
    return bool(wanted == status.get("updatedReplicas", 0) == status.get("availableReplicas", 0))


def _open_access() -> str:
    """Return a problem if every client has all permissions, as in MicroK8s without its addon rbac."""
    answer = _kubectl("auth", "can-i", "*", "*", "--as=homeserver:nobody").stdout.strip()
    return (
        ""
        if answer == "no"
        else f"role-based access control is not active (may a stranger do everything? {answer})"
    )


def _units() -> list[dict[str, str]]:
    services = _SERVICES_OF_A_WORKER if is_worker() else _SERVICES
    names = [f"snap.microk8s.daemon-{service}.service" for service in services]
    properties = "--property=Id,ActiveState,NRestarts,ActiveEnterTimestampMonotonic"
    shown = _run("systemctl", "show", properties, *names).stdout
    return [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.strip().split("\n\n")]


def _report(lacking: str, broken: str) -> str:
    """Explain the reason with the logs of services and pods that do not run."""
    agent = "snap.microk8s.daemon-cluster-agent.service"
    unit = broken or (agent if "launch configuration" in lacking else _KUBELITE)
    journal = _run("journalctl", f"--unit={unit}", "--since=-5min", "--output=cat").stdout
    pods = [] if broken else _waiting_pods()
    logs = "\n".join([journal, *(log for _, log in pods)])
    return "\n".join(
        [
            f"MicroK8s is not usable: {lacking}",
            *([f"The service {broken} does not run."] if broken else []),
            *(line for head, log in pods for line in (head, *_indented(log))),
            *([] if pods else [f"Last errors of {unit}:", *_indented(journal)]),
            f"Likely cause: {likely_cause(logs) or 'not known -> on the host: sudo microk8s inspect'}",
        ]
    )


def _indented(log: str) -> list[str]:
    return [f"  {line}" for line in telling_lines(log.splitlines())]


def _waiting_pods() -> list[tuple[str, str]]:
    """Describe the pods in kube-system that do not run, with the reason and the log of crashed ones."""
    listing = _kubectl("get", "pods", "--namespace=kube-system", "--output=json")
    pods = json.loads(listing.stdout)["items"] if listing.returncode == 0 else []
    return [
        (f"Pod {pod['metadata']['name']} waits: {waiting['reason']}", _last_lines(pod, container["name"]))
        for pod in pods
        for container in pod["status"].get("containerStatuses", [])
        if (waiting := container["state"].get("waiting"))
    ]


def _last_lines(pod: dict[str, Any], container: str) -> str:
    """Return the log of a container that ended, or the warnings about its pod."""
    name = pod["metadata"]["name"]
    where = ("--namespace=kube-system", f"--container={container}", "--previous", "--tail=50")
    log = _kubectl("logs", name, *where)
    if log.returncode == 0:
        return log.stdout
    fields = f"--field-selector=type=Warning,involvedObject.name={name}"
    form = "--output=jsonpath={range .items[*]}{.reason}: {.message}{'\\n'}{end}"
    return _kubectl("get", "events", "--namespace=kube-system", fields, form).stdout


def _missing_names(names: list[str], address: str) -> list[str]:
    """Return names that the served certificates lack. These may be older than those on disk."""
    needed = {_KUBELET_PORT: [address]}
    # On a worker, the founder answers on the port of the API.
    if not is_worker():
        needed[_API_PORT] = [*names, address]
    return sorted(
        {name for port, wanted in needed.items() for name in _missing_at(port, filter(None, wanted))}
    )


def _missing_at(port: int, wanted: Iterable[str]) -> list[str]:
    """Return the names that the certificate at a port lacks; none if the cluster's CA did not sign it."""
    try:
        present = {_canonical(name) for name in _names_at(port)}
    except ssl.SSLCertVerificationError:
        return []
    return [name for name in wanted if _canonical(name) not in present]


def _names_at(port: int) -> list[str]:
    context = ssl.create_default_context(cafile=str(certificates.authority()))
    context.check_hostname = False
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain) as connection,
    ):
        certificate: Any = connection.getpeercert()
    return [name for _, name in certificate.get("subjectAltName", ())]


def _canonical(name: str) -> str:
    """Return the canonical form of an address or a name."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


def _compared(node: dict[str, Any] | None) -> dict[str, Any]:
    """Return the parts of the node's object that the role compares."""
    if node is None:
        return {}
    metadata = {name: node["metadata"].get(name, {}) for name in ("annotations", "labels")}
    metadata["resourceVersion"] = node["metadata"]["resourceVersion"]
    return {"metadata": metadata, "spec": {"taints": node["spec"].get("taints", [])}}


def _calico_address(node: dict[str, Any]) -> str:
    annotations = node["metadata"]["annotations"] if node else {}
    return str(annotations.get("projectcalico.org/IPv4Address", "")).partition("/")[0]


def _kubectl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run kubectl. On a worker, it only prints a message, with exit code 0."""
    if is_worker():
        return subprocess.CompletedProcess([], 1, "", "a worker has no kubectl")
    return _run(_MICROK8S, "kubectl", *arguments)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()
