"""Runs `homeserver.stack.summary` on the control machine."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.homeserver.stack.plugins.module_utils import http_probe, summary
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.cluster import (
    ApiError,
    Cluster,
    UnreachableError,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import (
    MANAGED_BY,
    MANAGER,
    Object,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.rollout import is_ready
from ansible_collections.homeserver.stack.plugins.plugin_utils.cluster_action import Arguments, ClusterAction

_OURS = f"{MANAGED_BY}={MANAGER}"
_TRAEFIK = "app.kubernetes.io/name=traefik"


class ActionModule(ClusterAction):
    """Read the cluster and ask its services."""

    ARGUMENTS: ClassVar = {
        "address": {"required": True},
        "ca_file": {"type": "path", "default": ""},
        "format": {"type": "str", "choices": ["text", "json"], "default": "text"},
        "left_out": {"type": "list", "elements": "str", "default": []},
        "machines": {"type": "dict", "default": {}},
        "secrets_dir": {"type": "path", "required": True},
        "timeout": {"type": "int", "default": 60},
    }

    def act(self, arguments: Arguments, task_vars: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Sum up what runs; for a program, print a line of JSON, even if the cluster does not answer."""
        as_json = arguments["format"] == "json"
        try:
            report, unhealthy, status = self._sum_up(arguments)
        except (ApiError, UnreachableError) as error:
            if as_json:
                self._display.display(summary.as_line([f"MicroK8s: {error}"], {}))
            raise
        if as_json:
            self._display.display(summary.as_line(unhealthy, status))
        return {"report": report, "unhealthy": unhealthy, "status": status}

    def _sum_up(self, arguments: Arguments) -> tuple[list[str], list[str], Object]:
        """Return the lines for a reader, the unhealthy components, and the same data for a program."""
        cluster = self.connect(arguments["kubeconfig"])
        found = cluster.find("v1", "Node")
        machines = {name: _called(name, str(host)) for name, host in arguments["machines"].items()}
        away = summary.left_out(found, machines, set(arguments["left_out"]))
        rows = _rows(cluster, arguments, found, len(away))
        system = _settled_system(cluster, arguments["timeout"], len(away))
        microk8s = summary.cluster_row(found, system, arguments["address"], len(away))
        traefik = [
            *_workloads(cluster, "traefik", label_selector=_TRAEFIK),
            *cluster.find("v1", "Service", "traefik", label_selector=_TRAEFIK),
        ]
        asked = summary.probe_addresses(found, traefik, machines, arguments["address"])
        nodes = _nodes(cluster, found, _node_flaws(asked, rows, arguments), away)
        volumes = summary.volumes_by_node(cluster.find("v1", "PersistentVolume"))
        faults = [row for row in (microk8s, *rows) if not row.healthy]
        unhealthy = [
            *(f"{row.component}: {row.state} {row.url}".rstrip() for row in faults),
            *(f"{node.name}: {node.state}" for node in nodes if not node.healthy),
        ]
        seen = (microk8s, nodes, rows, volumes, summary.unknown_nodes(found, machines))
        return summary.report(*seen), unhealthy, summary.status(*seen)


def _called(name: str, host: str) -> set[str]:
    """Return the names and addresses that a machine of the inventory may have in the cluster."""
    host = host or name
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:  # only ssh can resolve it
        found = set()
    return {name.lower(), host.lower(), host.lower().partition(".")[0], *found}


def _nodes(
    cluster: Cluster, found: list[Object], flaws: Mapping[str, str], away: set[str]
) -> list[summary.NodeRow]:
    names = [node["metadata"]["name"] for node in found if is_ready(node)]
    with ThreadPoolExecutor() as pool:
        stats = dict(zip(names, pool.map(cluster.stats, names), strict=True))
    return summary.node_rows(found, cluster.find("v1", "Pod"), stats, flaws, away)


def _node_flaws(asked: Mapping[str, str], rows: list[summary.Row], arguments: Arguments) -> dict[str, str]:
    """Request a page that the founder serves from each node; `asked` has their addresses by name."""
    page = next((row.url for row in rows if row.url and row.healthy), "")

    def flaw(address: str) -> str:
        wrong = _flaw(page, address, arguments["ca_file"], arguments["timeout"]) if page else ""
        return f"at {address} {wrong}" if wrong else ""

    with ThreadPoolExecutor() as pool:
        return dict(zip(asked, pool.map(flaw, asked.values()), strict=True))


def _rows(cluster: Cluster, arguments: Arguments, nodes: list[Object], away: int) -> list[summary.Row]:
    workloads = summary.subtract_away_nodes(_workloads(cluster, label_selector=_OURS), away)
    ingress_routes = cluster.find("traefik.io/v1alpha1", "IngressRoute", label_selector=_OURS)
    services = cluster.find("v1", "Service", label_selector=_OURS)
    routes = list(summary.find_routes(ingress_routes, services, workloads))

    def flaw(route: summary.Route) -> str:
        patience = arguments["timeout"] if route.workload else 0
        return _flaw(route.url, arguments["address"], arguments["ca_file"], patience)

    asked = list(summary.served(routes, workloads))
    with ThreadPoolExecutor() as pool:
        flaws = dict(zip([route.url for route in asked], pool.map(flaw, asked), strict=True))
    secrets = sorted(map(str, Path(arguments["secrets_dir"]).glob("*.password")))
    return [
        *summary.workload_rows(workloads, routes, secrets, flaws.__getitem__, nodes),
        *summary.foreign_rows(routes, secrets, flaws.__getitem__),
    ]


def _settled_system(cluster: Cluster, timeout: int, away: int) -> list[Object]:
    """Return MicroK8s' own workloads, once all of them run or after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        found = summary.subtract_away_nodes(_workloads(cluster, "kube-system"), away)
        if not summary.unready(found) or time.monotonic() > deadline:
            return found
        time.sleep(1)


def _workloads(cluster: Cluster, namespace: str = "", **selectors: str) -> list[Object]:
    kinds = ("Deployment", "StatefulSet", "DaemonSet")
    return [entry for kind in kinds for entry in cluster.find("apps/v1", kind, namespace, **selectors)]


def _flaw(url: str, address: str, ca_file: str, timeout: int) -> str:
    """Return the problem with the response to a URL; a new route may take a moment to be active."""
    deadline = time.monotonic() + timeout
    while (flaw := http_probe.flaw(url, address, ca_file)) and time.monotonic() < deadline:
        time.sleep(1)
    return flaw
