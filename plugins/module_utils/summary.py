"""The report on everything that runs in a home. Nothing here sends a request."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, NamedTuple

from .apps import LEVELS
from .components import pages
from .kubernetes.rollout import devices, is_ready, readiness
from .kubernetes.volumes import volume_hosts
from .libraries import missing
from .registry.image_reference import parse
from .routes import served_paths

try:
    from kubernetes import utils
except ImportError as error:
    utils = missing(error)

Object = dict[str, Any]
Probe = Callable[[str], str]
"""Returns the problem with the response to a URL, or an empty text."""

_HEADINGS = ("page", "version", "state", "URL", "user", "password")
_NODE_HEADINGS = ("node", "version", "state", "memory", "disk", "pods")
_GIB = 2**30
_WIDTH = 110
_USER = "admin"
"""The user of every generated password that opens a page."""
_FOREIGN = "route-"
"""Prefix of the IngressRoutes that lead out of this stack."""
_SHARED_LOGIN = {"basic-auth", "admin-auth"}
"""The middlewares that the password of the dashboard of Traefik opens."""


class Row(NamedTuple):
    """One component, or one of its pages."""

    component: str
    version: str
    state: str
    url: str = ""
    password_file: str = ""
    healthy: bool = True

    @property
    def user(self) -> str:
        """The user whose password is in the file."""
        return _USER if self.password_file else ""

    @property
    def shown_state(self) -> str:
        """The state, marked if it is a fault."""
        return _marked(self.state, healthy=self.healthy)


class Amount(NamedTuple):
    """A total amount, and the part in use, if known."""

    used: int | None
    size: int

    def in_gib(self, digits: int) -> str:
        """Format an amount of bytes for a reader."""
        size = f"{self.size / _GIB:.{digits}f} GiB"
        return size if self.used is None else f"{self.used / _GIB:.{digits}f} of {size}"

    @property
    def counted(self) -> str:
        """Format a count for a reader."""
        return f"{self.used} of {self.size}"


class NodeRow(NamedTuple):
    """A machine of the cluster; memory and disk are in bytes."""

    name: str
    version: str
    state: str
    memory: Amount
    disk: Amount
    pods: Amount
    healthy: bool = True

    @property
    def cells(self) -> tuple[str, str, str]:
        """The used amounts, for a reader."""
        return self.memory.in_gib(1), self.disk.in_gib(0), self.pods.counted


def _marked(state: str, *, healthy: bool) -> str:
    return state if healthy else f"UNHEALTHY: {state}"


class Route(NamedTuple):
    """A host that Traefik serves, and the workload of this stack behind it, if any."""

    name: str
    url: str
    workload: str
    shares_login: bool = False
    """Whether it requires the password of Traefik's dashboard."""


def left_out(
    nodes: Iterable[Object], machines: Mapping[str, AbstractSet[str]], names: AbstractSet[str]
) -> set[str]:
    """Return the nodes of these machines that do not answer. A run continues without them."""
    called = set().union(*(machines[name] for name in names))
    return {_name(node) for node in nodes if not is_ready(node) and _called(node) & called}


def subtract_away_nodes(workloads: Iterable[Object], away: int) -> list[Object]:
    """Return the workloads without the pods that DaemonSets would have on this number of absent nodes."""
    return [_without(entry, away) if entry["kind"] == "DaemonSet" else entry for entry in workloads]


def _without(daemons: Object, away: int) -> Object:
    wanted, ready = _pods(daemons)
    wanted = max(wanted - away, min(wanted, ready))
    return {**daemons, "status": {**daemons["status"], "desiredNumberScheduled": wanted}}


def cluster_row(nodes: list[Object], system: list[Object], address: str, away: int = 0) -> Row:
    """Sum up the nodes, with a number of known absent ones, and the workloads of MicroK8s itself."""
    ready = [node for node in nodes if is_ready(node)]
    version = " ".join(sorted({node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes}))
    lacking = unready(system)
    state = f"{len(ready)} of {len(nodes)} nodes ready" + "".join(f", {name} is not" for name in lacking)
    healthy = len(ready) + away == len(nodes) and not lacking
    return Row("MicroK8s", version, state, f"https://{address}:16443", healthy=healthy)


def unready(workloads: Iterable[Object]) -> list[str]:
    """Return the names of workloads with fewer ready pods than they should have."""
    return [entry["metadata"]["name"] for entry in workloads if _pods(entry)[1] < _pods(entry)[0]]


def node_rows(
    nodes: Iterable[Object],
    pods: Iterable[Object],
    stats: Mapping[str, Object],
    flaws: Mapping[str, str],
    away: AbstractSet[str] = frozenset(),
) -> list[NodeRow]:
    """Sum up the nodes, the oldest first.

    Args:
        nodes: The nodes of the cluster.
        pods: All pods.
        stats: The kubelet's stats of each node, by name. Nodes without stats only show their size.
        flaws: The problems with responses from a node's address, by node name.
        away: Nodes that are known to be absent, which is not a fault.
    """
    running = Counter(
        pod["spec"].get("nodeName") for pod in pods if pod["status"].get("phase") in ("Pending", "Running")
    )
    rows = []
    for node in sorted(nodes, key=lambda node: (node["metadata"]["creationTimestamp"], _name(node))):
        name, capacity = _name(node), node["status"]["capacity"]
        measured = stats.get(name, {}).get("node", {})
        flaw = "left out of this run" if name in away else flaws.get(name, "")
        size, room = (int(utils.parse_quantity(capacity[what])) for what in ("memory", "ephemeral-storage"))
        rows.append(
            NodeRow(
                name,
                node["status"]["nodeInfo"]["kubeletVersion"],
                ", ".join(filter(None, (_node_state(node), flaw))),
                Amount(measured.get("memory", {}).get("workingSetBytes"), size),
                Amount(measured.get("fs", {}).get("usedBytes"), room),
                Amount(running[name], int(capacity["pods"])),
                healthy=name in away or (is_ready(node) and not flaw),
            )
        )
    return rows


def _name(entry: Object) -> str:
    name: str = entry["metadata"]["name"]
    return name


def _node_state(node: Object) -> str:
    known = readiness(node)
    if is_ready(node):
        return "ready, takes no new pods" if node["spec"].get("unschedulable") else "ready"
    since = f" since {known['lastTransitionTime']}" if "lastTransitionTime" in known else ""
    return f"{'not ready' if known['status'] == 'False' else 'away'}{since}"


def unknown_nodes(nodes: Iterable[Object], machines: Mapping[str, AbstractSet[str]]) -> list[str]:
    """Return the nodes that are not in the inventory.

    A machine's name and address in the inventory may differ from those of its node. So nodes without a match
    only count as unknown if they outnumber the machines without a match.

    Args:
        nodes: The nodes of the cluster.
        machines: The names and addresses of each machine in the inventory.
    """
    known = {_name(node): _called(node) for node in nodes}
    unknown = [name for name, called in known.items() if not any(called & of for of in machines.values())]
    unmatched = [of for of in machines.values() if not any(called & of for called in known.values())]
    return unknown if len(unknown) > len(unmatched) else []


def _called(node: Object) -> set[str]:
    return {_name(node), *_addresses(node)}


def _addresses(node: Object) -> list[str]:
    return [entry["address"] for entry in node["status"].get("addresses", [])]


def probe_addresses(
    nodes: Sequence[Object],
    traefik: Iterable[Object],
    machines: Mapping[str, AbstractSet[str]],
    founder: str,
) -> dict[str, str]:
    """Return the address at which to request a page from each other ready node, if all nodes serve pages.

    Args:
        nodes: The nodes of the cluster.
        traefik: The workload and the Service of Traefik.
        machines: The names and addresses of each machine in the inventory. Only these are reachable.
        founder: The address from which every page is requested anyway.
    """
    external: set[str] = set()
    wanted = 0
    for entry in traefik:
        if entry["kind"] == "Service":
            external |= set(entry["spec"].get("externalIPs", []))
        else:
            wanted = max(wanted, _pods(entry)[0])
    there = external & set().union(*machines.values()) - {founder}
    return {
        _name(node): address
        for node in nodes
        if wanted >= len(nodes) and is_ready(node)
        for address in _addresses(node)
        if address in there
    }


def volumes_by_node(volumes: Iterable[Object]) -> dict[str, list[str]]:
    """Return the claims of volumes that exist on one node only, by its host name, each with its size."""
    found: dict[str, list[str]] = {}
    for volume in volumes:
        claim, hosts = volume["spec"].get("claimRef"), volume_hosts(volume)
        if claim and len(hosts) == 1:
            size = volume["spec"]["capacity"]["storage"]
            found.setdefault(hosts[0], []).append(f"{claim['namespace']}/{claim['name']} {size}")
    return {host: sorted(claims) for host, claims in sorted(found.items())}


def workload_rows(
    workloads: Iterable[Object],
    routes: Iterable[Route],
    secrets: Iterable[str],
    probe: Probe,
    nodes: Collection[Object] = (),
) -> Iterator[Row]:
    """Sum up every Deployment, StatefulSet and DaemonSet, with a row for each of its hosts.

    The names of the files `secrets` start with their component and an underscore. Of the nodes, it says
    which devices of a workload they lack.
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
            if wanted and (missing := _missing_devices(workload, nodes)):
                state, healthy = f"{state}, no server has {' and '.join(missing)}", False
            state += _rights(workload)
            secret = _secret("traefik" if route.shares_login else name, secrets) if url else ""
            yield Row(name, version_of(image), state, url, secret, healthy)


def _missing_devices(workload: Object, nodes: Collection[Object]) -> list[str]:
    """Return the devices of a workload that no node has."""
    return [
        name
        for resource, name in devices(workload["spec"]["template"]).items()
        if not any(int(node["status"]["allocatable"].get(resource, 0)) for node in nodes)
    ]


def _rights(workload: Object) -> str:
    """Return a note about an app that may do more than others."""
    level = LEVELS.get(workload["metadata"]["namespace"], "restricted")
    return f", with the rights of {level} pods" if level != "restricted" else ""


def _secret(component: str, secrets: Iterable[str]) -> str:
    return next((file for file in secrets if Path(file).name.startswith(f"{component}_")), "")


def _pods(workload: Object) -> tuple[int, int]:
    """Return how many pods a workload should have, and how many are ready."""
    status = workload["status"]
    if workload["kind"] == "DaemonSet":
        return status["desiredNumberScheduled"], status["numberReady"]
    return workload["spec"]["replicas"], status.get("readyReplicas", 0)


def version_of(image: str) -> str:
    """Return the tag of an image reference."""
    return parse(image).tag


def foreign_rows(routes: Iterable[Route], secrets: Iterable[str], probe: Probe) -> Iterator[Row]:
    """Sum up the routes to other machines and to services outside this stack.

    A host that does not answer, such as a sleeping NAS, is shown but does not count as unhealthy.
    """
    for route in routes:
        if not route.workload:
            state = probe(route.url) or "healthy"
            secret = _secret("traefik", secrets) if route.shares_login else ""
            yield Row(route.name.removeprefix(_FOREIGN), "", state, route.url, secret)


def served(routes: Iterable[Route], workloads: Iterable[Object]) -> Iterator[Route]:
    """Return the routes, except those to a workload with 0 replicas, which nothing serves."""
    resting = {workload["metadata"]["name"] for workload in workloads if not _pods(workload)[0]}
    for route in routes:
        if route.workload not in resting:
            yield route


def find_routes(
    ingress_routes: Iterable[Object], services: list[Object], workloads: list[Object]
) -> Iterator[Route]:
    """Return the hosts of every IngressRoute, each with the shortest path that it serves."""
    for ingress in ingress_routes:
        workload = _behind(ingress, services, workloads)
        middlewares = [each for rule in ingress["spec"]["routes"] for each in rule.get("middlewares", [])]
        shares_login = any(each["name"] in _SHARED_LOGIN for each in middlewares)
        for host, path in served_paths(ingress).items():
            yield Route(ingress["metadata"]["name"], f"https://{host}{path}", workload, shares_login)


def _behind(ingress: Object, services: list[Object], workloads: list[Object]) -> str:
    """Return the workload behind the first service of an IngressRoute."""
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


def page_rows(rows: Iterable[Row]) -> list[Row]:
    """Return the rows with a page: the owner's own first, then those of this stack."""
    own = pages()

    def place(row: Row) -> int:
        return own.index(row.component) if row.component in own else -1

    return sorted((row for row in rows if row.url), key=place)


def report(
    cluster: Row,
    nodes: list[NodeRow],
    rows: list[Row],
    volumes: Mapping[str, list[str]],
    unknown: Iterable[str] = (),
) -> list[str]:
    """Return lines for a reader: the pages, the cluster, everything without a page, and the nodes.

    Args:
        cluster: The row of MicroK8s.
        nodes: Its nodes. A single node has no line of its own, and has all volumes.
        rows: The components and their pages.
        volumes: The volumes that exist on one node only, by the node's host name.
        unknown: Nodes that are not in the inventory.
    """
    pages = [
        (row.component, row.version, row.shown_state, row.url, row.user, row.password_file)
        for row in page_rows(rows)
    ]
    several = len(nodes) > 1
    return [
        *_table(_HEADINGS, pages),
        "",
        ", ".join(
            [
                f"{cluster.component} {cluster.version}: {cluster.shown_state}",
                *("memory {}, disk {}, {} pods".format(*node.cells) for node in nodes if not several),
                cluster.url,
            ]
        ),
        *(
            f"{name} is a node of this cluster, but not in the inventory -> add it to workers; or, if it is"
            f" gone for good: ansible-playbook playbooks/remove_node.yml -e node={name}"
            for name in unknown
        ),
        *_parts([row for row in rows if not row.url]),
        *(_of_several(nodes, volumes) if several else []),
    ]


def status(
    cluster: Row,
    nodes: Iterable[NodeRow],
    rows: Iterable[Row],
    volumes: Mapping[str, list[str]],
    unknown: Iterable[str],
) -> Object:
    """Return the same data for a program, as documented in docs/howto.md."""
    return {
        "cluster": {
            "version": cluster.version,
            "state": cluster.state,
            "healthy": cluster.healthy,
            "url": cluster.url,
        },
        "components": [
            {
                "name": row.component,
                "version": row.version,
                "state": row.state,
                "healthy": row.healthy,
                "url": row.url,
                "user": row.user,
                "password_file": row.password_file,
            }
            for row in rows
        ],
        "nodes": [
            {
                "name": node.name,
                "version": node.version,
                "state": node.state,
                "healthy": node.healthy,
                "memory": node.memory._asdict(),
                "disk": node.disk._asdict(),
                "pods": node.pods._asdict(),
            }
            for node in nodes
        ],
        "volumes": [
            {"node": node, **dict(zip(("claim", "size"), claim.split(" "), strict=True))}
            for node, claims in volumes.items()
            for claim in claims
        ],
        "unknown_nodes": list(unknown),
    }


def as_line(unhealthy: list[str], found: Mapping[str, Any]) -> str:
    """Return the line for a program: first whether something is wrong, then all results."""
    return json.dumps({"healthy": not unhealthy, "unhealthy": unhealthy, **found})


def _of_several(nodes: Iterable[NodeRow], volumes: Mapping[str, list[str]]) -> Iterator[str]:
    yield ""
    cells = [
        (node.name, node.version, _marked(node.state, healthy=node.healthy), *node.cells) for node in nodes
    ]
    yield from _table(_NODE_HEADINGS, cells)
    if volumes:
        yield "A volume is a directory of its node and does not move, nor do the workloads that use it:"
    for host, claims in volumes.items():
        yield from _wrapped(f"  {host}: {', '.join(claims)}", "    ")


def _table(headings: Sequence[str], cells: Iterable[Sequence[str]]) -> Iterator[str]:
    lines = [headings, *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _parts(rows: list[Row]) -> Iterator[str]:
    """List components by their state, faults first."""
    by_state: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: row.healthy):
        by_state.setdefault(row.shown_state, []).append(f"{row.component} {row.version}")
    for state, names in by_state.items():
        yield from _wrapped(f"Without a page, {state}: {', '.join(names)}", "  ")


def _wrapped(line: str, indent: str) -> list[str]:
    return textwrap.wrap(line, _WIDTH, subsequent_indent=indent, break_on_hyphens=False)
