"""Checks the machines of a home against each other. Nothing here accesses a machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..nodes import joining, membership
from .checks import ARCHITECTURES
from .problem import Problem

Found = tuple[str, Problem]
"""The name of a machine in the inventory, and its problem."""

_CLOCK_SKEW_SECONDS = 1
_API_PORT = 16443
_AGENT_PORT = 25000


class Machine(NamedTuple):
    """A machine that was probed.

    Attributes:
        name: its name in the inventory.
        address: its address in the inventory.
        host: the result of the module host_probe.
        closed: the ports of other machines that the module port_probe found closed.
        channel: its channel of MicroK8s; empty if unknown.
    """

    name: str
    address: str
    host: Mapping[str, Any]
    closed: list[Mapping[str, Any]]
    channel: str

    @property
    def node(self) -> str:
        """Its name in Kubernetes."""
        return str(self.host["hostname"]).lower()


def problems(founder: Machine, workers: list[Machine]) -> Iterator[Found]:
    """Report problems that would prevent a worker from joining the cluster."""
    machines = [founder, *workers]
    yield from _repeated_names(machines)
    for problem in joining.cannot_found(founder.host["member"], founder.name):
        yield founder.name, problem
    for worker in workers:
        for problem in _against_founder(worker, founder):
            yield worker.name, problem
    if any(_joins(worker, founder) for worker in workers):
        here = [machine.node for machine in machines]
        for problem in joining.dead_members(founder.host["cluster"]["nodes"], here):
            yield founder.name, problem
    yield from _closed_ports(machines, "tcp")


def doubts(founder: Machine, workers: list[Machine], others: Mapping[str, str]) -> Iterator[Found]:
    """Report nodes that are not in the inventory, and ports that could not be checked.

    Args:
        founder: the founder.
        workers: the workers that were probed.
        others: the address of each other machine of the inventory, by its name.
    """
    machines = [founder, *workers]
    names = {*others, *(machine.node for machine in machines)}
    addresses = {*others.values(), *(machine.address for machine in machines)}
    for problem in joining.unknown_nodes(founder.host["cluster"]["nodes"], names, addresses):
        yield founder.name, problem
    # A program that listens on a UDP port need not answer.
    fresh = [machine for machine in machines if not _runs(machine)]
    told = _closed_ports(machines, "udp")
    yield from ((name, problem) for name, problem in told if name in [machine.name for machine in fresh])


def _joins(worker: Machine, founder: Machine) -> bool:
    nodes = founder.host["cluster"]["nodes"]
    return not worker.host["member"]["worker"] or worker.node not in {node["name"] for node in nodes}


def _repeated_names(machines: list[Machine]) -> Iterator[Found]:
    first: dict[str, str] = {}
    for machine in machines:
        if machine.node in first:
            wrong = f"its host name is {machine.node!r}, the same as that of {first[machine.node]}"
            yield (
                machine.name,
                Problem(wrong, "on the host: hostnamectl set-hostname OTHER"),
            )
        first.setdefault(machine.node, machine.name)


def _against_founder(worker: Machine, founder: Machine) -> Iterator[Problem]:
    member, cluster = worker.host["member"], founder.host["cluster"]
    own = {"member": member, "workloads": membership.workloads(worker.host["cluster"]["pods"])}
    # A name that both have is reported already.
    others = [node for node in cluster["nodes"] if node["name"] != founder.node]
    theirs = {"member": founder.host["member"], "nodes": others}
    yield from joining.cannot_join(own, theirs, worker.name, founder.name)
    if worker.channel and founder.channel:
        yield from joining.other_minor(worker.channel, founder.channel, founder.name)
    apart = worker.host["clock_skew"] - founder.host["clock_skew"]
    if abs(apart) > _CLOCK_SKEW_SECONDS:
        wrong = f"its clock is {apart:.1f} s off from that of {founder.name}"
        expected = f"(expected at most {_CLOCK_SKEW_SECONDS})"
        yield Problem(f"{wrong} {expected}", "on both: timedatectl set-ntp true")
    own_kind, founders = (machine.host["machine"] for machine in (worker, founder))
    if own_kind in ARCHITECTURES and own_kind != founders:
        wrong = f"it runs {own_kind}, and {founder.name} runs {founders}, for which images are built"
        yield Problem(wrong, "use machines of one architecture")


def _closed_ports(machines: list[Machine], protocol: str) -> Iterator[Found]:
    """Report ports that a firewall closes, except this project's firewall, which the run updates first.

    The founder is the first machine.
    """
    by_address = {machine.address: machine for machine in machines}
    for client in machines:
        for port in client.closed:
            server = by_address.get(port["address"])
            if not server or port["protocol"] != protocol or _is_ours_to_open(server, client, port["port"]):
                continue
            listens = server is machines[0] or port["port"] != _API_PORT
            if port["answer"] == "none" or (listens and _runs(server)):
                wrong = f"its port {port['port']}/{protocol} is closed to {client.name}"
                fix = f"allow {client.address} in its firewall, or in a firewall between them"
                yield server.name, Problem(wrong, fix)


def _runs(machine: Machine) -> bool:
    return bool(machine.host["cluster"]["running"] or machine.host["member"]["worker"])


def _is_ours_to_open(server: Machine, client: Machine, port: int) -> bool:
    """Return whether this project's firewall closes a port: that of the agent, until a machine joins."""
    rules = server.host["firewall"]
    return bool(rules) and (port == _AGENT_PORT or client.address not in rules)
