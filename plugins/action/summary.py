"""The action plugin summary."""

from __future__ import annotations

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.homeserver.stack.plugins.module_utils import http_probe, summary
from kubernetes import client, config

_OURS = "app.kubernetes.io/managed-by=homeserver"
_ANSWERS = (401, 403)  # a service that asks for a password is healthy

ARGUMENTS = {
    "kubeconfig": {"type": "path", "required": True},
    "address": {"required": True},
    "ca_file": {"type": "path", "default": ""},
    "secrets_dir": {"type": "path", "required": True},
    "timeout": {"type": "int", "default": 60},
}


class ActionModule(ActionBase):
    """Read the cluster from the control machine."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Sum up what runs."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(ARGUMENTS)
        try:
            rows = _rows(**arguments)
        except (client.ApiException, config.ConfigException, OSError) as error:
            raise AnsibleActionFail(f"the cluster does not answer: {error}") from error
        unhealthy = [f"{row.component}: {row.state} {row.url}".rstrip() for row in rows if not row.healthy]
        result.update(table=summary.table(rows).splitlines(), unhealthy=unhealthy)
        return result


def _rows(kubeconfig: str, address: str, ca_file: str, secrets_dir: str, timeout: int) -> list[summary.Row]:
    cluster = _Cluster(kubeconfig)
    workloads = cluster.workloads()
    routes = list(summary.find_routes(cluster.ingress_routes(), cluster.services(), workloads))

    def flaw(route: summary.Route) -> str:
        return _flaw(route.url, address, ca_file, timeout if route.workload else 0)

    asked = list(summary.served(routes, workloads))
    with ThreadPoolExecutor() as pool:
        flaws = dict(zip([route.url for route in asked], pool.map(flaw, asked), strict=True))
    secrets = sorted(map(str, Path(secrets_dir).glob("*.password")))
    return [
        summary.cluster_row(cluster.nodes(), cluster.settled_system(timeout), address, kubeconfig),
        *summary.workload_rows(workloads, routes, secrets, flaws.__getitem__),
        *summary.foreign_rows(routes, flaws.__getitem__),
    ]


class _Cluster:
    """Lists objects as the API writes them."""

    def __init__(self, kubeconfig: str) -> None:
        self._client = config.new_client_from_config(kubeconfig)
        self._core = client.CoreV1Api(self._client)
        self._apps = client.AppsV1Api(self._client)

    def nodes(self) -> list[summary.Object]:
        """Give all nodes."""
        return self._plain(self._core.list_node())

    def services(self) -> list[summary.Object]:
        """Give the services that this collection applied."""
        return self._plain(self._core.list_service_for_all_namespaces(label_selector=_OURS))

    def workloads(self) -> list[summary.Object]:
        """Give the workloads that this collection applied."""
        return self._workloads(label_selector=_OURS)

    def settled_system(self, timeout: int) -> list[summary.Object]:
        """Give MicroK8s' own workloads, once all of them run or after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            found = self._workloads(field_selector="metadata.namespace=kube-system")
            if not summary.unready(found) or time.monotonic() > deadline:
                return found
            time.sleep(1)

    def _workloads(self, **selector: str) -> list[summary.Object]:
        """Give workloads, each naming its kind."""
        lists = {
            "Deployment": self._apps.list_deployment_for_all_namespaces,
            "StatefulSet": self._apps.list_stateful_set_for_all_namespaces,
            "DaemonSet": self._apps.list_daemon_set_for_all_namespaces,
        }
        return [
            {**entry, "kind": kind}
            for kind, list_ in lists.items()
            for entry in self._plain(list_(**selector))
        ]

    def ingress_routes(self) -> list[summary.Object]:
        """Give the IngressRoutes that this collection applied; none before Traefik is there."""
        custom = client.CustomObjectsApi(self._client)
        try:
            found = custom.list_cluster_custom_object(
                "traefik.io", "v1alpha1", "ingressroutes", label_selector=_OURS
            )
        except client.ApiException as error:
            if error.status == http.client.NOT_FOUND:
                return []
            raise
        items: list[summary.Object] = found["items"]
        return items

    def _plain(self, answer: Any) -> list[summary.Object]:
        items: list[summary.Object] = self._client.sanitize_for_serialization(answer)["items"]
        return items


def _flaw(url: str, address: str, ca_file: str, timeout: int) -> str:
    """What is wrong with the answer to a URL; it may take a moment until a new route is known everywhere."""
    deadline = time.monotonic() + timeout
    while (flaw := _flaw_now(url, address, ca_file)) and time.monotonic() < deadline:
        time.sleep(1)
    return flaw


def _flaw_now(url: str, address: str, ca_file: str) -> str:
    try:
        status = http_probe.status(url, address, ca_file)
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error}"
    return "" if status < http.client.BAD_REQUEST or status in _ANSWERS else f"answers {status}"
