"""The connection to the Kubernetes API; two requests discover every kind."""

from __future__ import annotations

import contextlib
import copy
import json
import re
import socket
import time
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from ..libraries import missing
from .objects import (
    MANAGED_BY,
    MANAGER,
    PART_OF,
    Identity,
    Object,
    identity,
    kind_of,
)

try:
    import urllib3

    from kubernetes import client, config, dynamic
except ImportError as error:
    urllib3 = client = config = dynamic = missing(error)

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_CONNECT_TIMEOUT = 5
"""Seconds until a host that does not answer counts as unreachable."""
_REQUEST_TIMEOUT = 60
"""Seconds one request may take."""
_RETRY_PERIOD = 20
"""How many seconds a request is retried while the API server restarts or is overloaded."""
_LOG_LINES = 15
_NO_LOG = "unable to retrieve container logs for "
"""The beginning of the text that the kubelet returns instead of a log if the container no longer exists."""
_WARNING = re.compile(r'\d{3} \S+ "((?:[^"\\]|\\.)*)"')

T = TypeVar("T")


class UnreachableError(Exception):
    """The API did not answer."""


class ApiError(Exception):
    """The API answered a request with an error."""

    def __init__(self, status: int, reason: str, message: str):
        super().__init__(f"{reason}: {message}" if reason else message)
        self.status = status


class Kind(NamedTuple):
    """A kind of object that the cluster serves."""

    api_version: str
    name: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def full_name(self) -> str:
        """The name of the kind in all versions, such as Deployment.apps."""
        return kind_of({"apiVersion": self.api_version, "kind": self.name})

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the path of one object, of a namespace's objects, or of all objects of the kind."""
        root = "/api/" if "/" not in self.api_version else "/apis/"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{self.api_version}{scope}/{self.plural}" + (f"/{name}" if name else "")


class Cluster:
    """A connection to one cluster.

    Attributes:
        warnings: the warnings of the API server so far, in order and without duplicates.
    """

    def __init__(self, kubeconfig: str, *, patient: bool = True):
        """Connect with the current context of a kubeconfig file.

        Args:
            kubeconfig: path of the file.
            patient: retry requests for a while when the API server does not answer.

        Raises:
            UnreachableError: the file does not exist or has no cluster, or the cluster does not answer.
            ApiError: the API server rejects its credentials.
        """
        self.warnings: list[str] = []
        self._kinds: dict[tuple[str, str], Kind] = {}
        self._retry_period = _RETRY_PERIOD if patient else 0
        configuration = _configuration(kubeconfig)
        self._persist(lambda: check_reachable(configuration.host))
        # `discover` replaces the client's own discovery, which takes more requests and leaves a file in /tmp.
        self._client = dynamic.DynamicClient(client.ApiClient(configuration), discoverer=lambda *_: None)
        self.discover()

    def discover(self) -> None:
        """Read which kinds the cluster serves, with the preferred version of each first."""
        answers = [self._request("get", root, accept=_DISCOVERY) for root in ("/api", "/apis")]
        self._kinds = {}
        for group in (group for answer in answers for group in answer["items"]):
            for version in group["versions"]:
                name = group.get("metadata", {}).get("name")
                api_version = f"{name}/{version['version']}" if name else version["version"]
                for resource in version.get("resources", []):
                    kind = resource["responseKind"]["kind"]
                    self._kinds[api_version, kind] = Kind(
                        api_version,
                        kind,
                        resource["resource"],
                        resource["scope"] == "Namespaced",
                        frozenset(resource["verbs"]),
                    )

    def kind(self, obj: Object) -> Kind | None:
        """Return the kind of an object, or None when the cluster does not serve it."""
        return self._kinds.get((obj["apiVersion"], obj["kind"]))

    def of_application(
        self, application: str, objects: Iterable[Object] = (), kinds: Container[str] | None = None
    ) -> dict[Identity, Object]:
        """Return the objects with an application's labels.

        Args:
            application: the value of the part-of label.
            objects: their kinds are read in their versions, other kinds in the preferred version.
            kinds: additional kinds to read, such as Deployment.apps; None for all.
        """
        wanted = dict.fromkeys(filter(None, map(self.kind, objects)))
        others = (kind for kind in self._kinds.values() if kinds is None or kind.full_name in kinds)
        listed: dict[str, Kind] = {}
        for kind in (*wanted, *others):
            if {"list", "delete"} <= kind.verbs:
                listed.setdefault(kind.full_name, kind)
        selector = f"{MANAGED_BY}={MANAGER},{PART_OF}={application}"
        found = (obj for kind in listed.values() for obj in self._list(kind, label_selector=selector))
        return {identity(obj): obj for obj in found}

    def get(self, obj: Object) -> Object | None:
        """Return an object as it is in the cluster, or None when it or its kind does not exist."""
        kind = self.kind(obj)
        try:
            return self._request("get", self._path(obj)) if kind else None
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def apply(self, obj: Object, *, dry_run: bool) -> Object:
        """Apply an object server-side and return the result.

        Raises:
            ApiError: the API server or one of its webhooks rejects the object.
        """
        query = [("fieldManager", MANAGER), ("force", "true"), ("fieldValidation", "Strict")]
        if dry_run:
            query.append(("dryRun", "All"))
        form = "application/apply-patch+yaml"
        response = self._send("patch", self._path(obj), body=obj, content_type=form, query_params=query)
        for quoted in _WARNING.findall(response.headers.get("warning") or ""):
            warning = f"{identity(obj)}: " + re.sub(r"\\(.)", r"\1", quoted)
            if warning not in self.warnings:
                self.warnings.append(warning)
        applied: Object = json.loads(response.data)
        return applied

    def delete(self, obj: Object, *, orphan: bool = False, at_once: bool = False) -> None:
        """Start to delete an object. Kubernetes first removes its dependents, or orphans them.

        One without dependents can be deleted at once.
        """
        policy = "Orphan" if orphan else "Background" if at_once else "Foreground"
        try:
            self._request("delete", self._path(obj), propagation_policy=policy)
        except ApiError as error:
            if error.status != 404:
                raise

    def find(self, api_version: str, kind: str, namespace: str = "", **selectors: str) -> list[Object]:
        """Return the objects of a kind; none if the cluster does not serve it.

        Args:
            api_version: the version to read them in.
            kind: their kind.
            namespace: where they are; empty for everywhere.
            selectors: `label_selector` or `field_selector`.
        """
        served = self._kinds.get((api_version, kind))
        return self._list(served, namespace, **selectors) if served else []

    def nodes(self) -> list[Object]:
        """Return the nodes."""
        return self.find("v1", "Node")

    def pods(self, namespace: str) -> list[Object]:
        """Return the pods of a namespace."""
        return self.find("v1", "Pod", namespace)

    def events(self, namespace: str, field_selector: str) -> list[Object]:
        """Return the events of a namespace whose fields match, unordered."""
        return self.find("v1", "Event", namespace, field_selector=field_selector)

    def warnings_about(self, namespace: str, name: str) -> list[str]:
        """Return the warnings about an object and about a Deployment's ReplicaSets, newest last."""
        events = self.events(namespace, "type=Warning")
        about = [e for e in events if f"{e['involvedObject'].get('name')}-".startswith(f"{name}-")]
        about.sort(key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "")
        return [f"{e.get('reason')}: {e.get('message')}" for e in about]

    def log(self, pod: Object, container: str, *, previous: bool, lines: int = _LOG_LINES) -> list[str]:
        """Return the last log lines of a container; none if it never ran."""
        query = {"container": container, "tailLines": lines, "previous": str(previous).lower()}
        try:
            response = self._send("get", f"{self._path(pod)}/log", query_params=list(query.items()))
        except ApiError:
            return []
        written = bytes(response.data).decode(errors="replace").splitlines()
        return [line for line in written if not line.startswith(_NO_LOG)]

    def ask(self, namespace: str, service: str, path: str) -> str:
        """Return the response of a Service to a GET request; the name includes the port, as in `web:80`.

        Raises:
            ApiError: the Service answered with an error, or has no pod that answers.
            UnreachableError: the API server did not answer.
        """
        kind = self._kinds["v1", "Service"]
        answer = self._send("get", f"{kind.path(namespace, service)}/proxy{path}")
        return bytes(answer.data).decode(errors="replace")

    def scale(self, workload: Object, replicas: int) -> None:
        """Give a workload another number of pods."""
        form, query = "application/merge-patch+json", [("fieldManager", MANAGER)]
        body = {"spec": {"replicas": replicas}}
        self._send("patch", self._path(workload), body=body, content_type=form, query_params=query)

    def touch_pod(self, namespace: str, name: str) -> None:
        """Make the kubelet update a pod's volumes now instead of at its next sync, up to a minute later."""
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name}}
        annotations = {"homeserver.stack/touched": str(time.time())}
        form = "application/merge-patch+json"
        with contextlib.suppress(ApiError):
            self._send(
                "patch", self._path(pod), body={"metadata": {"annotations": annotations}}, content_type=form
            )

    def stats(self, node: str) -> Object:
        """Return the stats of a node's kubelet, or nothing if it does not answer."""
        try:
            measured: Object = self._request("get", f"/api/v1/nodes/{node}/proxy/stats/summary")
        except (ApiError, UnreachableError):
            return {}
        return measured

    def _path(self, obj: Object) -> str:
        kind = self._kinds[obj["apiVersion"], obj["kind"]]
        return kind.path(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])

    def _list(self, kind: Kind, namespace: str = "", **selectors: str) -> list[Object]:
        """List objects, and add the kind that the API omits in lists."""
        try:
            items = self._request("get", kind.path(namespace), **selectors)["items"]
        except ApiError as error:
            if error.status not in (404, 405):  # the kind was removed after it was discovered
                raise
            return []
        return [{"apiVersion": kind.api_version, "kind": kind.name, **item} for item in items]

    def _request(self, method: str, path: str, accept: str = "application/json", **parameters: Any) -> Any:
        return json.loads(self._send(method, path, header_params={"Accept": accept}, **parameters).data)

    def _send(self, method: str, path: str, **parameters: Any) -> Any:
        """Send one request and return the answer.

        Raises:
            ApiError: the API answered with an error.
            UnreachableError: it did not answer.
        """

        def send() -> Any:
            # The client modifies the lists it gets, and a retry needs the original ones.
            fresh = copy.deepcopy(parameters)
            return self._client.request(
                method, path, serialize=False, _request_timeout=_REQUEST_TIMEOUT, **fresh
            )

        return self._persist(send)

    def _persist(self, send: Callable[[], T]) -> T:
        """Retry after temporary errors. Every request of this class can be repeated safely."""
        deadline = time.monotonic() + self._retry_period
        while True:
            try:
                return send()
            except (urllib3.exceptions.HTTPError, OSError) as error:
                if time.monotonic() > deadline:
                    raise UnreachableError(f"Kubernetes does not answer: {error}") from error
            except dynamic.exceptions.DynamicApiError as error:
                if error.status not in (429, 503, 504) or time.monotonic() > deadline:
                    raise _api_error(error) from error
            time.sleep(1)


def _configuration(kubeconfig: str) -> client.Configuration:
    """Read the current context of a kubeconfig file.

    Raises:
        UnreachableError: the file does not exist or has no cluster.
    """
    configuration = client.Configuration()
    try:
        config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
    except config.ConfigException as error:
        problem = "cannot be used" if Path(kubeconfig).exists() else "does not exist"
        raise UnreachableError(f"the kubeconfig {kubeconfig} {problem}: {error}") from error
    return configuration


def check_reachable(url: str) -> None:
    """Connect and disconnect: the client itself waits minutes for a host that is switched off.

    Raises:
        OSError: nothing answers there.
    """
    address = urlsplit(url)
    socket.create_connection((address.hostname or "", address.port or 443), _CONNECT_TIMEOUT).close()


def _api_error(error: dynamic.exceptions.DynamicApiError) -> ApiError:
    """Read the Status object that the API sent; prefer the messages of single fields."""
    try:
        status = json.loads(error.body)
    except (TypeError, ValueError):
        return ApiError(error.status, str(error.reason), str(error.body or ""))
    causes = (status.get("details") or {}).get("causes") or []
    fields = "; ".join(f"{cause['field']}: {cause.get('message')}" for cause in causes if cause.get("field"))
    return ApiError(error.status, status.get("reason", ""), fields or status.get("message", ""))
