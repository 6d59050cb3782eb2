"""The Kubernetes API as `kubernetes_apply` uses it: one connection, two requests to learn every kind."""

from __future__ import annotations

import copy
import json
import re
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import urllib3
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
from kubernetes.client import Configuration
from kubernetes.config import ConfigException, load_kube_config
from kubernetes.dynamic.exceptions import DynamicApiError

from .kubernetes_objects import MANAGED_BY, MANAGER, PART_OF, Identity, Object, identity

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_CONNECT_TIMEOUT = 5
"""Seconds until a host that does not answer counts as unreachable."""
_REQUEST_TIMEOUT = 60
"""Seconds one request may take."""
_RETRY_PERIOD = 20
"""Seconds in which a request is repeated while the API server restarts or is overloaded."""
_LOG_LINES = 15
_NO_LOG = "unable to retrieve container logs for "
"""What kubelet says, in place of a log, of a container that is gone."""
_WARNING = re.compile(r'\d{3} \S+ "((?:[^"\\]|\\.)*)"')

T = TypeVar("T")


class UnreachableError(Exception):
    """The API did not answer, or not as Kubernetes does."""


class RefusedError(Exception):
    """The API refused a request."""

    def __init__(self, status: int, reason: str, message: str):
        super().__init__(f"{reason}: {message}" if reason else message)
        self.status = status


class Kind(NamedTuple):
    """A kind of object the cluster knows, and where it is served."""

    api_version: str
    name: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the path of one object, of a namespace's objects, or of all objects of the kind."""
        root = "/api/" if "/" not in self.api_version else "/apis/"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{self.api_version}{scope}/{self.plural}" + (f"/{name}" if name else "")


class Cluster:
    """A connection to one cluster.

    Attributes:
        warnings: what the API server warned of so far, in order, each once.
    """

    def __init__(self, kubeconfig: str, *, patient: bool = True):
        """Connect with the current context of a kubeconfig file.

        Args:
            kubeconfig: path of the file.
            patient: repeat requests for a while when the API server does not answer.

        Raises:
            UnreachableError: the file is no kubeconfig, or nothing answers at its address.
            RefusedError: the API server does not know who it names.
        """
        self.warnings: list[str] = []
        self._kinds: dict[tuple[str, str], Kind] = {}
        self._retry_period = _RETRY_PERIOD if patient else 0
        self._persist(lambda: _knock(kubeconfig))
        self._client = self._persist(lambda: get_api_client(kubeconfig=kubeconfig).client)
        self.discover()

    def discover(self) -> None:
        """Learn anew which kinds the cluster serves, the preferred version of each first."""
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
        """Return the kind of an object, None when the cluster does not serve it."""
        return self._kinds.get((obj["apiVersion"], obj["kind"]))

    def of_application(self, application: str, objects: Iterable[Object] = ()) -> dict[Identity, Object]:
        """Return every object in the cluster that carries an application's labels, of whatever kind.

        Args:
            application: the value of the part-of label.
            objects: their kinds are read in the versions they use, others in the preferred one.
        """
        kinds: dict[tuple[str, str], Kind] = {}
        for kind in (*filter(None, map(self.kind, objects)), *self._kinds.values()):
            if {"list", "delete"} <= kind.verbs:
                kinds.setdefault((kind.api_version.rpartition("/")[0], kind.name), kind)
        selector = f"{MANAGED_BY}={MANAGER},{PART_OF}={application}"
        found = (obj for kind in kinds.values() for obj in self._list(kind, label_selector=selector))
        return {identity(obj): obj for obj in found}

    def get(self, obj: Object) -> Object | None:
        """Return an object as it is in the cluster, None when it, or its kind, is not there."""
        kind = self.kind(obj)
        try:
            return self._request("get", self._path(obj)) if kind else None
        except RefusedError as refusal:
            if refusal.status != 404:
                raise
            return None

    def apply(self, obj: Object, *, dry_run: bool) -> Object:
        """Apply an object server-side and return what came of it.

        Raises:
            RefusedError: the API server, or a webhook of it, does not accept the object.
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

    def delete(self, obj: Object) -> None:
        """Begin to delete an object; it is gone when everything it owns is."""
        try:
            self._request("delete", self._path(obj), propagation_policy="Foreground")
        except RefusedError as refusal:
            if refusal.status != 404:
                raise

    def pods(self, namespace: str) -> list[Object]:
        """Return the pods of a namespace."""
        return self._list(self._kinds["v1", "Pod"], namespace)

    def warnings_about(self, namespace: str, name: str) -> list[str]:
        """Return the warnings about an object, and about a Deployment's ReplicaSets, newest last."""
        events = self._list(self._kinds["v1", "Event"], namespace, field_selector="type=Warning")
        about = [e for e in events if f"{e['involvedObject'].get('name')}-".startswith(f"{name}-")]
        about.sort(key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "")
        return [f"{e.get('reason')}: {e.get('message')}" for e in about]

    def log(self, pod: Object, container: str, *, previous: bool, lines: int = _LOG_LINES) -> list[str]:
        """Return the last lines a container wrote, none when it never ran."""
        query = {"container": container, "tailLines": lines, "previous": str(previous).lower()}
        try:
            response = self._send("get", f"{self._path(pod)}/log", query_params=list(query.items()))
        except RefusedError:
            return []
        written = bytes(response.data).decode(errors="replace").splitlines()
        return [line for line in written if not line.startswith(_NO_LOG)]

    def ask(self, namespace: str, service: str, path: str) -> str:
        """Return what a Service, named with its port as in `web:80`, answers to a GET.

        Raises:
            RefusedError: it answered with an error, or nobody did.
            UnreachableError: the API server did not answer.
        """
        kind = self._kinds["v1", "Service"]
        answer = self._send("get", f"{kind.path(namespace, service)}/proxy{path}")
        return bytes(answer.data).decode(errors="replace")

    def _path(self, obj: Object) -> str:
        kind = self._kinds[obj["apiVersion"], obj["kind"]]
        return kind.path(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])

    def _list(self, kind: Kind, namespace: str = "", **selectors: str) -> list[Object]:
        """List objects, completed with the kind that the API leaves out in a list."""
        try:
            items = self._request("get", kind.path(namespace), **selectors)["items"]
        except RefusedError as refusal:
            if refusal.status not in (404, 405):  # a kind that went away since it was discovered
                raise
            return []
        return [{"apiVersion": kind.api_version, "kind": kind.name, **item} for item in items]

    def _request(self, method: str, path: str, accept: str = "application/json", **parameters: Any) -> Any:
        return json.loads(self._send(method, path, header_params={"Accept": accept}, **parameters).data)

    def _send(self, method: str, path: str, **parameters: Any) -> Any:
        """Send one request and return the answer.

        Raises:
            RefusedError: the API answered with an error.
            UnreachableError: it did not answer.
        """

        def send() -> Any:
            # The client adds to the lists it is given: a repeated request needs them as they were.
            fresh = copy.deepcopy(parameters)
            return self._client.request(
                method, path, serialize=False, _request_timeout=_REQUEST_TIMEOUT, **fresh
            )

        return self._persist(send)

    def _persist(self, send: Callable[[], T]) -> T:
        """Repeat what failed for a reason that passes; every request made here may be repeated."""
        deadline = time.monotonic() + self._retry_period
        while True:
            try:
                return send()
            except (urllib3.exceptions.HTTPError, OSError) as error:
                if time.monotonic() > deadline:
                    raise UnreachableError(f"Kubernetes does not answer: {error}") from error
            except DynamicApiError as error:
                if error.status not in (429, 503, 504) or time.monotonic() > deadline:
                    raise _refusal(error) from error
            time.sleep(1)


def _knock(kubeconfig: str) -> None:
    """Connect and hang up: kubernetes.core's client would wait minutes for a host that is switched off.

    Raises:
        UnreachableError: there is no such kubeconfig, or it names no cluster.
        OSError: nothing answers at its address.
    """
    configuration = Configuration()
    try:
        load_kube_config(config_file=kubeconfig, client_configuration=configuration)
    except ConfigException as error:
        problem = "cannot be used" if Path(kubeconfig).exists() else "does not exist"
        raise UnreachableError(f"the kubeconfig {kubeconfig} {problem}: {error}") from error
    address = urlsplit(configuration.host)
    socket.create_connection((address.hostname or "", address.port or 443), _CONNECT_TIMEOUT).close()


def _refusal(error: DynamicApiError) -> RefusedError:
    """Read what the API said from the Status object it sends, field by field where it names fields."""
    try:
        status = json.loads(error.body)
    except (TypeError, ValueError):
        return RefusedError(error.status, str(error.reason), str(error.body or ""))
    causes = (status.get("details") or {}).get("causes") or []
    fields = "; ".join(f"{cause['field']}: {cause.get('message')}" for cause in causes if cause.get("field"))
    return RefusedError(error.status, status.get("reason", ""), fields or status.get("message", ""))
