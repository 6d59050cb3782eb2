"""The cluster that this host's MicroK8s belongs to, and data from its API."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

from ..kubernetes.rollout import is_ready, readiness
from ..kubernetes.volumes import volume_hosts
from ..preflight import host_facts

DATA = Path("/var/snap/microk8s/current")
DEFAULTS = Path("/snap/microk8s/current/default-args/kubelet")
MICROK8S = "/snap/bin/microk8s"
_OWN_NAMESPACE = "kube-system"
# Calico defines both in libcalico-go/lib/backend/k8s/resources/node.go. It removes the key if Felix does
# not encrypt.
_CALICO_ADDRESS = "projectcalico.org/IPv4Address"
_CALICO_KEY = "projectcalico.org/WireguardPublicKey"
_TIMEOUT = 30
NODE_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
# A kubelet may change most labels of its node, but none with this prefix.
HOST_LABEL = "node-restriction.kubernetes.io/homeserver-host"
_WORKER_LABEL = "node.kubernetes.io/microk8s-worker"


def node_name() -> str:
    """Return the name that this host has, or would have, as a node."""
    return socket.gethostname().lower()


def is_worker() -> bool:
    """Return whether MicroK8s runs here without a control plane of its own."""
    return (DATA / "var/lock/clustered.lock").exists()


def membership() -> dict[str, Any]:
    """Read this host's membership from the files of MicroK8s, which may be missing."""
    worker = is_worker()
    proxied = _read(DATA / "args/traefik/provider.yaml") if worker else ""
    return {
        "node": node_name(),
        "addresses": host_facts.own_addresses(),
        "worker": worker,
        "joining": (DATA / "var/lock/join-in-progress").exists(),
        "authority": _checksum(DATA / "certs" / ("ca.remote.crt" if worker else "ca.crt")),
        "servers": re.findall(r"address: [\"']?([\w.]+):\d+", proxied),
    }


def datastore_address() -> str:
    """Return the address at which the datastore expects other members, or an empty text if there is none."""
    found = re.search(r"^Address: (\S+):\d+$", _read(DATA / "var/kubernetes/backend/info.yaml"), re.MULTILINE)
    return found[1] if found else ""


def kubelet_arguments() -> dict[str, dict[str, str]]:
    """Return the `present` arguments of the kubelet, and the `default` ones of its snap."""
    files = {"present": DATA / "args/kubelet", "default": DEFAULTS}
    return {name: _flags(_read(file)) for name, file in files.items()}


def _flags(text: str) -> dict[str, str]:
    found = re.findall(r"^\s*(--[\w-]+)(?:[= ]([^\n]*))?$", text, re.MULTILINE)
    return {flag: value.strip() for flag, value in found}


def cluster() -> dict[str, Any]:
    """Return data from the control plane on this host; `running` is false if none answers.

    Nodes have a `name`, `ready`, `reason`, `address`, `version`, `kernel` and `calico` address, whether
    new pods may run there (`schedulable`), whether Calico `encrypts` there, whether it joined as a `worker`,
    and the `host` of the inventory that the founder has recorded. Volumes have a `name`, `claim`, `node`
    and `path`. Pods have a `name`, `namespace`, `node`, `address` and whether the pod `runs`. Pods in the
    host network are not included.
    """
    silent: dict[str, Any] = {"running": False, "nodes": [], "volumes": [], "pods": []}
    told = kubectl("get", "nodes,persistentvolumes,pods", "--all-namespaces", "--output=json")
    if told is None:
        return silent
    objects = json.loads(told)["items"]
    return {
        "running": True,
        "nodes": [_node(entry) for entry in objects if entry["kind"] == "Node"],
        "volumes": [_volume(entry) for entry in objects if entry["kind"] == "PersistentVolume"],
        "pods": [_pod(entry) for entry in objects if _has_own_network(entry)],
    }


def workloads(pods: list[dict[str, Any]]) -> list[str]:
    """Return the namespaces with pods of the owner."""
    return sorted({pod["namespace"] for pod in pods} - {_OWN_NAMESPACE})


def _node(node: dict[str, Any]) -> dict[str, Any]:
    status, metadata = node["status"], node["metadata"]
    annotations, labels = metadata.get("annotations", {}), metadata.get("labels", {})
    addresses = [entry["address"] for entry in status.get("addresses", []) if entry["type"] == "InternalIP"]
    return {
        "name": node["metadata"]["name"],
        "ready": is_ready(node),
        "reason": readiness(node)["message"],
        "address": next(iter(addresses), ""),
        "schedulable": not node.get("spec", {}).get("unschedulable", False),
        "version": status["nodeInfo"]["kubeletVersion"],
        "kernel": status["nodeInfo"]["kernelVersion"],
        "calico": annotations.get(_CALICO_ADDRESS, "").partition("/")[0],
        "encrypts": bool(annotations.get(_CALICO_KEY)),
        "worker": _WORKER_LABEL in labels,
        "host": labels.get(HOST_LABEL, ""),
    }


def _volume(volume: dict[str, Any]) -> dict[str, str]:
    claim = volume["spec"].get("claimRef", {})
    return {
        "name": volume["metadata"]["name"],
        "claim": f"{claim['namespace']}/{claim['name']}" if claim else volume["metadata"]["name"],
        "node": next(iter(volume_hosts(volume)), ""),
        "path": volume["spec"].get("hostPath", {}).get("path", ""),
    }


def _has_own_network(entry: dict[str, Any]) -> bool:
    return entry["kind"] == "Pod" and not entry["spec"].get("hostNetwork")


def _pod(pod: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": pod["metadata"]["name"],
        "namespace": pod["metadata"]["namespace"],
        "node": pod["spec"].get("nodeName", ""),
        "address": pod["status"].get("podIP", ""),
        "runs": pod["status"].get("phase") == "Running",
    }


def kubectl(*arguments: str) -> str | None:
    """Return kubectl's output, or None if it fails. A worker only prints a message, with exit code 0."""
    if is_worker() or not Path(MICROK8S).exists():
        return None
    command = [MICROK8S, "kubectl", f"--request-timeout={_TIMEOUT}s", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def _checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes().strip()).hexdigest() if file.exists() else ""


def _read(file: Path) -> str:
    return file.read_text() if file.exists() else ""
