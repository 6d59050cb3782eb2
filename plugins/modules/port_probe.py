"""The module port_probe."""

from __future__ import annotations

DOCUMENTATION = """
module: port_probe
short_description: Finds the ports of other machines that are closed to this host
description:
  - Connects to each port of each machine. If no program listens, the connection is refused, unless a firewall
    drops it. For UDP, only a refusal is conclusive. Changes nothing.
options:
  addresses:
    type: list
    elements: str
    required: true
    description: The other machines.
  tcp:
    type: list
    elements: int
    default: []
    description: The numbers of TCP ports.
  udp:
    type: list
    elements: int
    default: []
    description: The numbers of UDP ports.
author: The homeserver.stack maintainers (!UNKNOWN)
extends_documentation_fragment: homeserver.stack.read_only
"""

EXAMPLES = """
- homeserver.stack.port_probe:
    addresses: [192.168.1.10]
    tcp: [16443]
"""

RETURN = """
closed:
  description:
    - The ports that could not be reached, each with its C(answer), which is C(refused) or C(none).
    - This does not include UDP ports that refuse.
  type: list
  elements: dict
  returned: always
"""

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from ansible.module_utils.basic import AnsibleModule

_TIMEOUT = 3


class Port(NamedTuple):
    """A port of another machine."""

    address: str
    port: int
    protocol: str

    def answer(self) -> str:
        """Return why it cannot be reached, or an empty text."""
        return (_ask_udp if self.protocol == "udp" else _ask_tcp)((self.address, self.port))


def main() -> None:
    """Run the module."""
    numbers = {"type": "list", "elements": "int", "default": []}
    module = AnsibleModule(
        {
            "addresses": {"type": "list", "elements": "str", "required": True},
            "tcp": numbers,
            "udp": numbers,
        },
        supports_check_mode=True,
    )
    ports = [
        Port(address, number, protocol)
        for address in module.params["addresses"]
        for protocol in ("tcp", "udp")
        for number in module.params[protocol]
    ]
    with ThreadPoolExecutor(max_workers=16) as pool:
        answers = zip(ports, pool.map(Port.answer, ports), strict=True)
    module.exit_json(closed=[{**port._asdict(), "answer": answer} for port, answer in answers if answer])


def _ask_tcp(at: tuple[str, int]) -> str:
    try:
        socket.create_connection(at, timeout=_TIMEOUT).close()
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "none"
    return ""


def _ask_udp(at: tuple[str, int]) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(_TIMEOUT)
        try:
            client.connect(at)
            client.send(b"")
            client.recv(1)
        except ConnectionRefusedError:
            return ""
        except OSError:
            return "none"
    return ""


if __name__ == "__main__":
    main()
