"""What runs in a home, as a table. Nothing here talks to a cluster."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

Object = dict[str, Any]
Probe = Callable[[str], str]
"""Says what is wrong with the answer to a URL, or an empty text."""

_HOST = re.compile(r"Host\(`([^`]+)`\)")
_PATH = re.compile(r"PathPrefix\(`([^`]+)`\)")
_HEADINGS = ("component", "version", "state", "URL", "credentials")
_FOREIGN = "route-"
"""How the names of IngressRoutes begin that lead out of this stack."""
_SHARED_LOGIN = "basic-auth"
"""The middleware of Traefik's that lets in who may see Traefik's own dashboard."""


class Row(NamedTuple):
    """One line of the table."""

    component: str
    version: str
    state: str
    url: str = ""
    credentials: str = ""
    healthy: bool = True


class Route(NamedTuple):
    """A host that Traefik answers for, and the workload behind it, if that is one of this stack's."""

    name: str
    url: str
    workload: str
    shares_login: bool = False
    """It asks for the password of Traefik's dashboard."""


def cluster_row(nodes: list[Object], system: list[Object], address: str, kubeconfig: str) -> Row:
    """Sum up the nodes, and what MicroK8s itself runs on them."""
    ready = [node for node in nodes if _is_ready(node)]
    version = " ".join(sorted({node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes}))
    lacking = unready(system)
    state = f"{len(ready)} of {len(nodes)} nodes ready" + "".join(f", {name} is not" for name in lacking)
    healthy = len(ready) == len(nodes) and not lacking
    return Row("MicroK8s", version, state, f"https://{address}:16443", kubeconfig, healthy)


def unready(workloads: Iterable[Object]) -> list[str]:
    """Name the workloads that have fewer pods ready than they should."""
    return [entry["metadata"]["name"] for entry in workloads if _pods(entry)[1] < _pods(entry)[0]]


def _is_ready(node: Object) -> bool:
    states = {state["type"]: state["status"] for state in node["status"]["conditions"]}
    return states.get("Ready") == "True"


def workload_rows(
    workloads: Iterable[Object], routes: Iterable[Route], secrets: Iterable[str], probe: Probe
) -> Iterator[Row]:
    """Sum up every Deployment, StatefulSet and DaemonSet, with a row for each of its hosts.

    `secrets` are files whose names begin with the component they are for, and an underscore.
    """
    for workload in workloads:
        name = workload["metadata"]["name"]
        image = workload["spec"]["template"]["spec"]["containers"][0]["image"]
        wanted, ready = _pods(workload)
        for route in [route for route in routes if route.workload == name] or [Route(name, "", name)]:
            url = route.url
            if not wanted:
                state, healthy = "not run here (0 replicas)", True
            elif ready < wanted:
                state, healthy = f"{ready} of {wanted} pods ready", False
            else:
                flaw = probe(url) if url else ""
                state, healthy = flaw or "healthy", not flaw
            secret = _secret("traefik" if route.shares_login else name, secrets) if url else ""
            yield Row(name, version_of(image), state, url, secret, healthy)


def _secret(component: str, secrets: Iterable[str]) -> str:
    return next((file for file in secrets if Path(file).name.startswith(f"{component}_")), "")


def _pods(workload: Object) -> tuple[int, int]:
    """How many pods there should be, and how many are ready."""
    status = workload["status"]
    if workload["kind"] == "DaemonSet":
        return status["desiredNumberScheduled"], status["numberReady"]
    return workload["spec"]["replicas"], status.get("readyReplicas", 0)


def version_of(image: str) -> str:
    """Give the tag of an image reference."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def foreign_rows(routes: Iterable[Route], probe: Probe) -> Iterator[Row]:
    """Sum up the routes to other machines, and to services that are none of this stack's.

    One that does not answer, such as a NAS that sleeps, is shown and is no fault of this stack.
    """
    for route in routes:
        if not route.workload:
            state = probe(route.url) or "healthy"
            yield Row(route.name.removeprefix(_FOREIGN), "", state, route.url)


def served(routes: Iterable[Route], workloads: Iterable[Object]) -> Iterator[Route]:
    """Give the routes that somebody is there to answer: for what has 0 replicas one would wait in vain."""
    resting = {workload["metadata"]["name"] for workload in workloads if not _pods(workload)[0]}
    for route in routes:
        if route.workload not in resting:
            yield route


def find_routes(
    ingress_routes: Iterable[Object], services: list[Object], workloads: list[Object]
) -> Iterator[Route]:
    """Give the hosts of every IngressRoute, each with the shortest path it answers for."""
    for ingress in ingress_routes:
        paths: dict[str, str] = {}
        for rule in ingress["spec"]["routes"]:
            prefix = _PATH.search(rule["match"])
            path = f"{prefix[1].rstrip('/')}/" if prefix else "/"
            for host in _HOST.findall(rule["match"]):
                paths[host] = min(paths.get(host, path), path, key=len)
        workload = _behind(ingress, services, workloads)
        middlewares = [each for rule in ingress["spec"]["routes"] for each in rule.get("middlewares", [])]
        shares_login = any(each["name"] == _SHARED_LOGIN for each in middlewares)
        for host, path in paths.items():
            yield Route(ingress["metadata"]["name"], f"https://{host}{path}", workload, shares_login)


def _behind(ingress: Object, services: list[Object], workloads: list[Object]) -> str:
    """The workload whose pods an IngressRoute's first service leads to."""
    destinations = (entry for rule in ingress["spec"]["routes"] for entry in rule.get("services", []))
    named: Object = next(destinations, {})
    if named.get("kind") == "TraefikService":  # Traefik's own dashboard
        return "traefik"
    place = (named.get("namespace", ingress["metadata"]["namespace"]), named.get("name"))
    service = next((entry for entry in services if _place(entry) == place), None)
    selector = service["spec"].get("selector") if service else None
    chosen = (entry for entry in workloads if selector and _selects(selector, place[0], entry))
    return next((entry["metadata"]["name"] for entry in chosen), "")


def _place(entry: Object) -> tuple[str, str]:
    return entry["metadata"]["namespace"], entry["metadata"]["name"]


def _selects(selector: Mapping[str, str], namespace: str, workload: Object) -> bool:
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return bool(workload["metadata"]["namespace"] == namespace) and selector.items() <= labels.items()


def table(rows: Iterable[Row]) -> str:
    """Lay rows out in columns."""
    lines = [_HEADINGS, *(row[:5] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
