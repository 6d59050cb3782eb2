"""The module microk8s_ready."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils.microk8s_diagnosis import (
    likely_cause,
    telling_lines,
)

DOCUMENTATION = """
module: microk8s_ready
short_description: Wait until MicroK8s is fit for use
description:
  - Waits until the launch configuration is applied, the node is ready, the workloads in kube-system
    are rolled out, and access control by roles is in force.
  - Fails with the service that does not run, its last log lines and the likely cause. Changes nothing.
options:
  deployments:
    type: list
    elements: str
    default: []
    description: The deployments in kube-system that must be there.
  unawaited:
    type: list
    elements: str
    default: []
    description: The workloads in kube-system that may still be starting.
  timeout:
    type: int
    default: 600
    description: How many seconds it may take.
  certificate_warning:
    type: int
    default: 30
    description: How many days before a certificate expires there is a warning.
author: The homeserver.stack maintainers
extends_documentation_fragment: homeserver.stack.read_only
"""

EXAMPLES = """
- homeserver.stack.microk8s_ready:
    deployments: [coredns]
"""

RETURN = """
certificates:
  description: The days until the C(CA), the C(server) and the C(front proxy client) certificate expire.
  type: dict
  returned: always
kubeconfig_sha256:
  description: The sum of the admin's kubeconfig for the host itself, without the space around it.
  type: str
  returned: always
sans:
  description: The names and addresses the API server's certificate is valid for.
  type: list
  elements: str
  returned: always
"""

_MICROK8S = "/snap/bin/microk8s"
_LAUNCHER = Path("/var/snap/microk8s/common/etc/launcher")
_KUBECONFIG = Path("/var/snap/microk8s/current/credentials/client.config")
_CA = "/var/snap/microk8s/current/certs/ca.crt"
_SERVICES = ("containerd", "k8s-dqlite", "kubelite", "cluster-agent")
_PATIENCE = 30  # seconds in which a service may fail and recover, as while its configuration changes
_RESTARTS = 4
_INTERVAL = 2


class UnfitError(Exception):
    """MicroK8s is not fit for use; the text says why."""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "deployments": {"type": "list", "elements": "str", "default": []},
            "unawaited": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 600},
            "certificate_warning": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    try:
        wait(module.params["deployments"], module.params["unawaited"], module.params["timeout"])
    except UnfitError as error:
        module.fail_json(msg=str(error))
    certificates = _certificates()
    for name, days in certificates.items():
        if days < module.params["certificate_warning"]:
            renewal = "ca.crt" if name == "CA" else f"{name.replace(' ', '-')}.crt"
            fix = f"on the host: sudo microk8s refresh-certs -e {renewal}"
            module.warn(f"the {name} certificate of the cluster expires in {days} days -> {fix}")
    kubeconfig = hashlib.sha256(_KUBECONFIG.read_bytes().strip()).hexdigest()
    module.exit_json(certificates=certificates, sans=_sans(), kubeconfig_sha256=kubeconfig)


def wait(deployments: list[str], unawaited: list[str], timeout: int) -> None:
    """Wait at most `timeout` seconds.

    Raises:
        UnfitError: it is not fit by then, or a service does not come up.
    """
    started = time.monotonic()
    restarts = {unit["Id"]: int(unit["NRestarts"]) for unit in _units()}
    settled = True
    while (lacking := _lacking(deployments, unawaited)) or not settled:
        # What became true only now may be the moment before a restart: it has to be true twice.
        settled = not lacking
        waited = time.monotonic() - started
        if lacking and waited > _PATIENCE and (broken := _broken(restarts)):
            raise UnfitError(_report(lacking, broken))
        if lacking and waited > timeout:
            raise UnfitError(_report(f"{lacking}, after {timeout} s", ""))
        time.sleep(_INTERVAL)


def _lacking(deployments: list[str], unawaited: list[str]) -> str:
    """The first thing that keeps MicroK8s from being fit, or an empty text."""
    if pending := sorted(_LAUNCHER.glob("*.yaml")):
        return f"the launch configuration {pending[0]} is not applied"
    listing = _kubectl(
        "get", "nodes,deployments.apps,daemonsets.apps", "--namespace=kube-system", "--output=json"
    )
    if listing.returncode:
        return f"the API server does not answer: {''.join(listing.stderr.splitlines()[-1:])}"
    objects = json.loads(listing.stdout)["items"]
    return _unready_node(objects) or _unfinished_workload(objects, deployments, unawaited) or _open_access()


def _unready_node(objects: list[dict[str, Any]]) -> str:
    name = socket.gethostname().lower()
    nodes = {entry["metadata"]["name"]: entry for entry in objects if entry["kind"] == "Node"}
    if name not in nodes:
        return f"the node {name} has not registered"
    ready = next(state for state in nodes[name]["status"]["conditions"] if state["type"] == "Ready")
    return "" if ready["status"] == "True" else f"the node {name} is not ready: {ready['message']}"


def _unfinished_workload(objects: list[dict[str, Any]], deployments: list[str], unawaited: list[str]) -> str:
    workloads = {entry["metadata"]["name"]: entry for entry in objects if entry["kind"] != "Node"}
    missing = sorted(set(deployments) - workloads.keys())
    waiting = [
        name for name, entry in workloads.items() if name not in unawaited and not _is_rolled_out(entry)
    ]
    if not (missing or waiting):
        return ""
    return f"not running in kube-system: {', '.join(missing + waiting)}"


def _is_rolled_out(workload: dict[str, Any]) -> bool:
    status = workload["status"]
    if status.get("observedGeneration") != workload["metadata"]["generation"]:
        return False
    if workload["kind"] == "DaemonSet":
        wanted = status["desiredNumberScheduled"]
        return bool(wanted == status.get("updatedNumberScheduled", 0) == status.get("numberAvailable", 0))
    wanted = workload["spec"]["replicas"]
    return bool(wanted == status.get("updatedReplicas", 0) == status.get("availableReplicas", 0))


def _open_access() -> str:
    """Whether anybody may do anything, as in MicroK8s without its addon rbac."""
    answer = _kubectl("auth", "can-i", "*", "*", "--as=homeserver:nobody").stdout.strip()
    return (
        "" if answer == "no" else f"access control by roles is not in force (may a stranger do all? {answer})"
    )


def _broken(restarts: dict[str, int]) -> str:
    """The service that gave up, or crashes again and again."""
    for unit in _units():
        crashed = int(unit["NRestarts"]) - restarts.get(unit["Id"], 0)
        if unit["ActiveState"] == "failed" or crashed >= _RESTARTS:
            return unit["Id"]
    return ""


def _units() -> list[dict[str, str]]:
    names = [f"snap.microk8s.daemon-{service}.service" for service in _SERVICES]
    shown = _run("systemctl", "show", "--property=Id,ActiveState,NRestarts", *names).stdout
    return [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.strip().split("\n\n")]


def _report(lacking: str, broken: str) -> str:
    """Tell why, from the logs of what does not run."""
    agent = "snap.microk8s.daemon-cluster-agent.service"
    kubelite = "snap.microk8s.daemon-kubelite.service"
    unit = broken or (agent if "launch configuration" in lacking else kubelite)
    journal = _run("journalctl", f"--unit={unit}", "--since=-5min", "--output=cat").stdout
    pods = [] if broken else _waiting_pods()
    logs = "\n".join([journal, *(log for _, log in pods)])
    return "\n".join(
        [
            f"MicroK8s is not fit for use: {lacking}",
            *([f"The service {broken} does not run."] if broken else []),
            *(line for head, log in pods for line in (head, *_indented(log))),
            *([] if pods else [f"Last errors of {unit}:", *_indented(journal)]),
            f"Likely cause: {likely_cause(logs) or 'not known -> on the host: sudo microk8s inspect'}",
        ]
    )


def _indented(log: str) -> list[str]:
    return [f"  {line}" for line in telling_lines(log.splitlines())]


def _waiting_pods() -> list[tuple[str, str]]:
    """The pods in kube-system that do not run, with why, and the log of those that crash."""
    listing = _kubectl("get", "pods", "--namespace=kube-system", "--output=json")
    pods = json.loads(listing.stdout)["items"] if listing.returncode == 0 else []
    return [
        (f"Pod {pod['metadata']['name']} waits: {waiting['reason']}", _last_words(pod, container["name"]))
        for pod in pods
        for container in pod["status"].get("containerStatuses", [])
        if (waiting := container["state"].get("waiting"))
    ]


def _last_words(pod: dict[str, Any], container: str) -> str:
    """The log of a container that ended, or the warnings about its pod."""
    name = pod["metadata"]["name"]
    where = ("--namespace=kube-system", f"--container={container}", "--previous", "--tail=50")
    log = _kubectl("logs", name, *where)
    if log.returncode == 0:
        return log.stdout
    fields = f"--field-selector=type=Warning,involvedObject.name={name}"
    form = "--output=jsonpath={range .items[*]}{.reason}: {.message}{'\\n'}{end}"
    return _kubectl("get", "events", "--namespace=kube-system", fields, form).stdout


def _certificates() -> dict[str, int]:
    told = _run(_MICROK8S, "refresh-certs", "-c").stdout
    return {
        name: int(days)
        for name, days in re.findall(r"The (.+) certificate will expire in (-?\d+) days", told)
    }


def _sans() -> list[str]:
    """The names in the certificate that is served, which may be older than the one on disk."""
    context = ssl.create_default_context(cafile=_CA)
    context.check_hostname = False
    with (
        socket.create_connection(("127.0.0.1", 16443), timeout=10) as plain,
        context.wrap_socket(plain) as connection,
    ):
        certificate: Any = connection.getpeercert()
    return [name for _, name in certificate["subjectAltName"]]


def _kubectl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return _run(_MICROK8S, "kubectl", *arguments)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()
