"""Decides whether a machine may join or leave the cluster. Nothing here accesses a host."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, ip_network
from typing import Any

from ..preflight.problem import Problem
from ..versions import minor
from .membership import HOST_LABEL, NODE_NAME

Facts = Mapping[str, Any]
"""The result of `membership.membership()` for a host, or of `membership.cluster()` for a cluster."""

Taint = Mapping[str, Any]

_ONE_CONTROL_PLANE = (
    "several do not make a home safer: if one of them stops, the API of MicroK8s 1.34 to 1.36 looks healthy,"
    " but no longer reports changes"
)


def own_node(member: Facts, cluster: Facts, name: str) -> Facts:
    """Return the cluster node of a host, or nothing.

    The founder has recorded which node belongs to which host of the inventory, and a host's own claims do
    not change that. Only a node without such a record is identified by its name.

    Args:
        member: data from the host.
        cluster: data from the founder.
        name: the host in the inventory.
    """
    founder = cluster["member"]
    nodes: list[Facts] = [node for node in cluster["nodes"] if node["name"] != founder["node"]]
    for node in nodes:
        if node["host"] == name:
            return node
    trusted = member["worker"] and member["authority"] == founder["authority"]
    for node in nodes:
        is_here = trusted or node["address"] in member["addresses"]
        if node["name"] == member["node"] and not node["host"] and is_here:
            return node
    return {}


def why_join(member: Facts, cluster: Facts, name: str) -> str:
    """Return why a host must join or rejoin a cluster; an empty text if it is a member.

    Joining requires a token, which gives full control of the cluster. So a host that the founder knows
    as a node gets no token, whatever it reports.
    """
    node = own_node(member, cluster, name)
    if node and (node["host"] or node["ready"]):
        return ""
    if member["joining"]:
        return "an earlier attempt to join was interrupted"
    if member["worker"]:
        return "the cluster does not know it yet" if node else "the cluster has forgotten it"
    return "it is not part of the cluster"


def is_astray(member: Facts, cluster: Facts) -> bool:
    """Return whether a worker uses an outdated address of the founder."""
    address = cluster["member"]["address"]
    return bool(member["worker"] and address and address not in member["servers"])


def cannot_join(own: Facts, cluster: Facts, name: str, home: str) -> Iterator[Problem]:
    """Report why a host must not join or stay.

    Args:
        own: the `member` and the `workloads` of its own cluster.
        cluster: the `member` and the `nodes` of the founder. Before its installation it has no authority.
        name: the host in the inventory.
        home: the founder in the inventory.
    """
    member, founder = own["member"], cluster["member"]
    trusted = member["worker"] and member["authority"] == founder["authority"]
    recorded = next((node for node in cluster["nodes"] if node["host"] == name), None)
    fix = f"move what you need of it, then remove that: {_removal(name)}"
    if not NODE_NAME.fullmatch(member["node"]):
        yield Problem(
            f"its host name is {member['node']!r}, which no node can have",
            "on the host: hostnamectl set-hostname OTHER",
        )
    if recorded and not trusted:
        wrong = f"the cluster knows it as the node {recorded['name']}, but it reports that it is no node"
        forget = f"if it was installed again, forget the node: {_forgetting(recorded)}"
        yield Problem(wrong, f"{forget}; if nobody did anything to it, do not trust it, and remove it")
    elif member["worker"] and not trusted and not member["joining"]:
        there = ", ".join(member["servers"]) or "an unknown address"
        yield Problem(f"it is part of a different cluster than that of {home}, at {there}", fix)
    elif not member["worker"] and own["workloads"]:
        running = ", ".join(own["workloads"])
        yield Problem(f"it has a cluster of its own, with workloads in {running}", fix)
    if recorded and recorded["name"] != member["node"]:
        node_name = recorded["name"]
        wrong = f"its host name is {member['node']!r}, and the cluster knows it as the node {node_name}"
        yield Problem(wrong, f"on the host: hostnamectl set-hostname {node_name}")
        return
    for node in cluster["nodes"]:
        if node["name"] == member["node"] and node is not recorded:
            yield from _namesake(node, member, founder, trusted=trusted)


def _namesake(node: Facts, member: Facts, founder: Facts, *, trusted: bool) -> Iterator[Problem]:
    """Report a node that has the name of this host but belongs to another."""
    name, other = node["name"], "on the host: hostnamectl set-hostname OTHER"
    if node["host"]:
        wrong = f"its host name is {name!r}, and that node is the host {node['host']} of the inventory"
        unlink = f"kubectl label node {name} {HOST_LABEL}-"
        yield Problem(wrong, f"{other}; or, if you have renamed it in the inventory: {unlink}")
    # A member whose address has changed also looks like a second machine.
    elif name == founder["node"] or (
        node["ready"] and node["address"] not in member["addresses"] and not trusted
    ):
        yield Problem(f"its host name is {name!r}, the same as that of the node at {node['address']}", other)


def strangers(before: Facts, now: Facts, node: Facts) -> list[str]:
    """Return the names of other nodes that appeared while a host joined as a worker.

    Args:
        before: data from the founder before it created a token.
        now: data from the founder now.
        node: the node of the host.
    """
    known = {entry["name"] for entry in before["nodes"]}
    return [
        entry["name"]
        for entry in now["nodes"]
        if (not entry["worker"] if entry == node else entry["name"] not in known)
    ]


_SERVICES = ip_network("10.152.183.0/24")


def cannot_certify(address: str, node: Facts, cluster: Facts) -> Iterator[Problem]:
    """Report if a node must not get a certificate for the address that its host reports.

    Args:
        address: the reported address; empty if there is none.
        node: the node of the host; nothing for the founder.
        cluster: what the founder says.
    """
    if address and node and (why := _not_its_own(address, node, cluster)):
        yield Problem(
            f"it reports the address {address}, which {why}",
            "correct its ansible_host, or its address on the network; if both are right, do not trust it",
        )


def _not_its_own(address: str, node: Facts, cluster: Facts) -> str:
    try:
        read = IPv4Address(address)
    except ValueError:
        return "is not an IPv4 address"
    if read.is_loopback or read.is_unspecified or read.is_multicast or read in _SERVICES:
        return "no machine can have"
    others = [entry for entry in cluster["nodes"] if entry["name"] != node["name"]]
    if address in cluster["member"]["addresses"] or address in [entry["address"] for entry in others]:
        return "belongs to another node"
    return ""


def cannot_found(member: Facts, name: str) -> Iterator[Problem]:
    """Report if the founder is a worker of another cluster."""
    if member["worker"]:
        there = ", ".join(member["servers"]) or "an unknown address"
        wrong = f"it is a worker of the cluster at {there}, and cannot be the control plane of another"
        yield Problem(wrong, f"leave it there, or remove it from that home: {_removal(name)}")


def second_control_plane(name: str) -> Problem:
    """Reject another host in the group control_plane."""
    fix = f"move {name} to the group workers; docs/machines.md says what to do if the control plane dies"
    return Problem(f"it is the second host in the group control_plane: {_ONE_CONTROL_PLANE}", fix)


def other_minor(wanted: str, founders: str, home: str) -> Iterator[Problem]:
    """Report if a host would join with a minor version that differs from the founder's."""
    if minor(wanted) != minor(founders):
        wrong = f"it would join with MicroK8s {wanted}, and {home} has {founders}"
        yield Problem(
            f"{wrong} (homeserver_version_overrides.microk8s_channel)",
            f"give both the same minor version, and run {home} first",
        )


def dead_members(nodes: Iterable[Facts], coming: Iterable[str]) -> Iterator[Problem]:
    """Report nodes that do not answer, except the nodes in `coming`, which this run repairs."""
    for node in nodes:
        if not node["ready"] and node["name"] not in set(coming):
            wrong = f"the node {node['name']} does not answer ({node['reason']}), so nothing can join"
            yield Problem(wrong, f"switch it on, or forget it: {_forgetting(node)}")


def unknown_nodes(nodes: Iterable[Facts], names: set[str], addresses: set[str]) -> Iterator[Problem]:
    """Report nodes of the cluster that match no machine of the inventory, by name or address."""
    for node in nodes:
        if node["name"] not in names and node["address"] not in addresses:
            wrong = f"the node {node['name']} ({node['address']}) is in the cluster and not in the inventory"
            fix = f"add it to the group workers; or switch it off, and forget it: {_forgetting(node)}"
            yield Problem(wrong, fix)


def _removal(name: str) -> str:
    confirmed = f"-e microk8s_state=absent -e microk8s_confirm_removal={name} --limit {name}"
    return f"ansible-playbook playbooks/microk8s.yml {confirmed}"


def _forgetting(node: Facts) -> str:
    return f"ansible-playbook playbooks/remove_node.yml -e node={node['name']}"


def lost_volumes(volumes: Iterable[Facts], node: str, abandoned: Iterable[str]) -> list[str]:
    """Return the claims, as namespace/name, whose data are on a node and must not be abandoned."""
    return sorted({volume["claim"] for volume in volumes if volume["node"] == node} - set(abandoned))


def given_up(volumes: Iterable[Facts], node: str, abandoned: Iterable[str]) -> list[Facts]:
    """Return the volumes whose data are on a node, and whose claims are abandoned."""
    return [volume for volume in volumes if volume["node"] == node and volume["claim"] in set(abandoned)]


def cannot_forget(node: str, cluster: Facts, founder: str, abandoned: Iterable[str]) -> Iterator[Problem]:
    """Report why a node must not be removed from the cluster without its machine."""
    nodes = {entry["name"]: entry for entry in cluster["nodes"]}
    if node not in nodes:
        others = ", ".join(sorted(nodes.keys() - {founder})) or "none but the founder"
        yield Problem(f"the cluster has no node {node!r} (node)", f"name one of its nodes: {others}")
    elif node == founder:
        yield Problem(f"{node} is the control plane (node)", "docs/machines.md says what to do if it dies")
    elif nodes[node]["ready"]:
        yield Problem(f"{node} is alive (node)", "let it leave, as in docs/machines.md; or switch it off")
    else:
        yield from would_lose(lost_volumes(cluster["volumes"], node, abandoned), node)


def would_lose(claims: list[str], node: str) -> Iterator[Problem]:
    """Refuse to abandon the data of claims that the owner has not listed."""
    if claims:
        wrong = f"the data of {', '.join(claims)} are on {node} and nowhere else"
        fix = f"save what you need; to give it up: -e '{json.dumps({'microk8s_abandon_volumes': claims})}'"
        yield Problem(wrong, fix)


def workers_left(nodes: Iterable[Facts], founder: str) -> Iterator[Problem]:
    """Refuse to remove the founder of a cluster with other nodes."""
    if others := sorted({node["name"] for node in nodes} - {founder}):
        names = ", ".join(others)
        wrong = f"{names} would be left without a control plane"
        dead = "playbooks/remove_node.yml -e node=NAME"
        fix = f"let each leave first (docs/machines.md), or remove the nodes of dead machines: {dead}"
        yield Problem(wrong, fix)


def node_patch(node: Facts, labels: Mapping[str, str], taints: list[Taint]) -> dict[str, Any]:
    """Return the merge patch that sets labels and taints of a node and removes earlier ones, or {}.

    Labels and taints from other sources stay. An annotation records ours.
    """
    metadata, present = node["metadata"], node["spec"].get("taints", [])
    remembered = metadata.get("annotations", {}).get(_OURS, _NOTHING)
    former = json.loads(remembered)
    changed = {
        label: labels.get(label)
        for label in sorted({*former["labels"], *labels})
        if metadata["labels"].get(label) != labels.get(label)
    }
    ours = [*former["taints"], *map(_place, taints)]
    wanted = [*(taint for taint in present if _place(taint) not in ours), *taints]
    now = json.dumps({"labels": sorted(labels), "taints": sorted(map(_place, taints))})
    change: dict[str, Any] = {"labels": changed} if changed else {}
    if now != remembered:
        change["annotations"] = {_OURS: now}
    patch: dict[str, Any] = {"metadata": change} if change else {}
    if sorted(map(_whole, wanted)) != sorted(map(_whole, present)):
        patch["spec"] = {"taints": wanted}
    if patch:
        # Kubernetes also taints nodes, so an outdated list must be rejected.
        patch["metadata"] = {**change, "resourceVersion": metadata["resourceVersion"]}
    return patch


_OURS = "homeserver.stack/node"
_NOTHING = json.dumps({"labels": [], "taints": []})


def _place(taint: Taint) -> str:
    return f"{taint['key']}:{taint['effect']}"


def _whole(taint: Taint) -> tuple[str, str, str]:
    return taint["key"], taint["effect"], taint.get("value") or ""
