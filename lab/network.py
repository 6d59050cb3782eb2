"""The bridge that machines and this host share.

There is no forwarding and no address translation: a machine only reaches this host and other machines.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from lab.host import LabError, run

# Without its own address, a bridge takes that of its lowest port, and the other ports lose it for a while.
_HARDWARE_ADDRESS = "02:68:6f:6d:65:01"


@dataclass(frozen=True)
class Bridge:
    """A bridge by its name, and its subnet, whose first address is this host's."""

    name: str
    subnet: IPv4Network

    @property
    def host(self) -> IPv4Interface:
        """This host's address."""
        return IPv4Interface((int(self.subnet.network_address) + 1, self.subnet.prefixlen))


def bridge() -> Bridge:
    """Return the lab's bridge, configured by HOMESERVER_LAB_BRIDGE and HOMESERVER_LAB_SUBNET.

    Raises:
        LabError: The subnet is invalid or too small.
    """
    name = os.environ.get("HOMESERVER_LAB_BRIDGE", "homelab0")
    text = os.environ.get("HOMESERVER_LAB_SUBNET", "10.213.0.0/24")
    try:
        subnet = IPv4Network(text)
    except ValueError as error:
        raise LabError(f"HOMESERVER_LAB_SUBNET is not a subnet: {error}") from None
    if subnet.prefixlen > 29:
        raise LabError(f"HOMESERVER_LAB_SUBNET={text} is too small for machines: use a /24")
    return Bridge(name, subnet)


def free_address(subnet: IPv4Network, taken: Iterable[str]) -> str:
    """Return the lowest free address for a machine; the first one of the subnet is this host's.

    Raises:
        LabError: All are in use.
    """
    used = set(taken)
    _, *rest = subnet.hosts()
    for address in rest:
        if str(address) not in used:
            return str(address)
    raise LabError(f"no address is free in {subnet}: remove a machine, with `python -m lab down --name NAME`")


def check_address(address: str, subnet: IPv4Network, taken: Iterable[str]) -> None:
    """Reject an address that a machine cannot have.

    Raises:
        LabError: It is not one of the subnet's, or in use.
    """
    _, *rest = map(str, subnet.hosts())
    if address not in rest:
        raise LabError(f"{address} cannot be a machine's address: use one from {rest[0]} to {rest[-1]}")
    if address in taken:
        raise LabError(
            f"{address} is another machine's address: use one that `python -m lab status` does not list"
        )


def ensure(wanted: Bridge) -> None:
    """Create the bridge, or complete a partially created one.

    Raises:
        LabError: Its addresses are in use elsewhere on this host.
    """
    interfaces = _show("address")
    if neighbour := _overlapping(wanted, interfaces):
        raise LabError(
            f"{neighbour} overlaps the lab's {wanted.subnet}: set HOMESERVER_LAB_SUBNET to a subnet free here"
        )
    if not _exists(wanted.name):
        run("ip", "link", "add", wanted.name, "address", _HARDWARE_ADDRESS, "type", "bridge")
    run("ip", "address", "replace", str(wanted.host), "dev", wanted.name)
    run("ip", "link", "set", wanted.name, "up")


def forget_neighbours(of: Bridge) -> None:
    """Forget which machine had which address, since one may have that of another a moment ago."""
    run("ip", "neighbour", "flush", "dev", of.name)


def remove_if_unused(unwanted: Bridge) -> None:
    """Remove the bridge if no machine uses it."""
    if _exists(unwanted.name) and not _ports(unwanted):
        run("ip", "link", "delete", unwanted.name)


def remove_link(name: str) -> None:
    """Remove a link of a machine, if any. The kernel may remove it at the same time."""
    if _exists(name):
        try:
            run("ip", "link", "delete", name)
        except LabError:
            if _exists(name):
                raise


def _show(what: str) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = json.loads(run("ip", "-json", what, "show"))
    return shown


def _ports(of: Bridge) -> set[str]:
    return {link["ifname"] for link in _show("link") if link.get("master") == of.name}


def _exists(link: str) -> bool:
    return Path("/sys/class/net", link).exists()


def _overlapping(wanted: Bridge, interfaces: list[dict[str, Any]]) -> str | None:
    for interface in interfaces:
        for address in interface["addr_info"]:
            if interface["ifname"] == wanted.name or address["family"] != "inet":
                continue
            subnet = IPv4Interface((IPv4Address(address["local"]), address["prefixlen"])).network
            if subnet.overlaps(wanted.subnet):
                return f"{interface['ifname']} ({subnet})"
    return None
