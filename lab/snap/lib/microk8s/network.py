"""The addresses of this host."""

import json
import subprocess
import time
from typing import Any

# Their first addresses are the pod network's and do not belong to the host. Those of all other interfaces do.
POD_INTERFACES = ("vxlan.calico", "flannel.1", "cni0", "ovn0")
DEFAULT_ROUTE_TIMEOUT = 10


def _ip(*arguments: str) -> list[dict[str, Any]]:
    shown = subprocess.run(["ip", "-json", *arguments], check=True, capture_output=True).stdout
    return [entry for entry in json.loads(shown or "[]") if entry]


def addresses() -> list[str]:
    """Return what `hostname -I` shows, IPv6 too, without the pod network: VPN, bridges of Docker and all."""
    links = _ip("address", "show", "scope", "global")
    # Of addresses that are not asked for, `ip` shows an empty entry.
    return [
        address["local"]
        for link in links
        if link["ifname"] not in POD_INTERFACES
        for address in filter(None, link["addr_info"])
        if not address["local"].startswith("169.254.")
    ]


def default_interface() -> str | None:
    """Return the interface of the default route."""
    routes = _ip("-4", "route", "show", "default")
    return str(routes[0]["dev"]) if routes else None


def default_address() -> str:
    """Return the first address on the interface of the default route, or "none" as MicroK8s does."""
    interface = default_interface()
    links = _ip("-4", "address", "show", "dev", interface) if interface else []
    return next((address["local"] for link in links for address in link["addr_info"]), "none")


def wait_for_default_route() -> bool:
    """Wait up to ten seconds for a default route; return whether there is one."""
    deadline = time.monotonic() + DEFAULT_ROUTE_TIMEOUT
    while not (interface := default_interface()) and time.monotonic() < deadline:
        time.sleep(1)
    return interface is not None
