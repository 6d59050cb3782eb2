"""The bridge that machines and this host share.

Nothing is forwarded, no address translated: a machine reaches this host and the other machines, and no more.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from lab.host import LabError, run

# A bridge without an address of its own takes over its lowest port's, and the others lose it for a while.
_HARDWARE_ADDRESS = "02:68:6f:6d:65:01"


@dataclass(frozen=True)
class Bridge:
    """A bridge by its name, and the addresses on it, of which this host has the first."""

    name: str
    subnet: IPv4Network

    @property
    def host(self) -> IPv4Interface:
        """This host's address."""
        return IPv4Interface((int(self.subnet.network_address) + 1, self.subnet.prefixlen))


def bridge() -> Bridge:
    """The lab's bridge, as HOMESERVER_LAB_BRIDGE and HOMESERVER_LAB_SUBNET say.

    Raises:
        LabError: The subnet is none, or too small.
    """
    name = os.environ.get("HOMESERVER_LAB_BRIDGE", "homelab0")
    text = os.environ.get("HOMESERVER_LAB_SUBNET", "10.213.0.0/24")
    try:
        subnet = IPv4Network(text)
    except ValueError as error:
        raise LabError(f"HOMESERVER_LAB_SUBNET is not a subnet: {error}") from None
    if subnet.prefixlen > 29:
        raise LabError(f"HOMESERVER_LAB_SUBNET={text} has no room for machines: take a /24")
    return Bridge(name, subnet)


def free_address(subnet: IPv4Network, taken: Iterable[str]) -> str:
    """The lowest address for a machine; the first one of the subnet is this host's.

    Raises:
        LabError: All are taken.
    """
    used = set(taken)
    _, *rest = subnet.hosts()
    for address in rest:
        if str(address) not in used:
            return str(address)
    raise LabError(f"no address is left in {subnet}: remove a machine, with `python -m lab down --name NAME`")


def ensure(wanted: Bridge) -> None:
    """Make the bridge, or finish making it.

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


def connected(name: str, to: Bridge) -> bool:
    """Whether the link is a port of the bridge."""
    return name in _ports(to)


def remove_if_unused(unwanted: Bridge) -> None:
    """Remove the bridge when no machine is left on it."""
    if _exists(unwanted.name) and not _ports(unwanted):
        run("ip", "link", "delete", unwanted.name)


def remove_link(name: str) -> None:
    """Remove a link that a machine may have left. The kernel may be doing the same."""
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
