"""The addresses of this host."""

import json
import subprocess
import time
from typing import Any

# Addresses on interfaces of the pod network come and go with it and are not the host's.
POD_INTERFACES = ("cali", "vxlan.calico", "tunl", "cni", "flannel")
DEFAULT_ROUTE_TIMEOUT = 10


def _ip(*arguments: str) -> list[dict[str, Any]]:
    shown = subprocess.run(["ip", "-json", "-4", *arguments], check=True, capture_output=True).stdout
    return [entry for entry in json.loads(shown or "[]") if entry]


def _addresses(*selector: str) -> list[str]:
    links = _ip("address", "show", *selector)
    return [
        address["local"]
        for link in links
        if not link["ifname"].startswith(POD_INTERFACES)
        for address in link["addr_info"]
    ]


def addresses() -> list[str]:
    """Return the host's IPv4 addresses, without loopback and the pod network."""
    return _addresses("scope", "global")


def default_interface() -> str | None:
    """Return the interface of the default route."""
    routes = _ip("route", "show", "default")
    return str(routes[0]["dev"]) if routes else None


def default_address() -> str:
    """Return the first address on the interface of the default route, or "none" as MicroK8s does."""
    interface = default_interface()
    found = _addresses("dev", interface) if interface else []
    return found[0] if found else "none"


def wait_for_default_route() -> bool:
    """Wait up to ten seconds for a default route; return whether there is one."""
    deadline = time.monotonic() + DEFAULT_ROUTE_TIMEOUT
    while not (interface := default_interface()) and time.monotonic() < deadline:
        time.sleep(1)
    return interface is not None
