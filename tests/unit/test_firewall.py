"""The firewall of every machine admits the other machines of the home, before they join."""

import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.rendering import ROOT, Role
from lab.host import ensure_packages

RULES = "lookup('homeserver.stack.template', role_path ~ '/templates/firewall.nft.j2')"
HOME, ATTIC = {"ansible_host": "192.168.1.10"}, {"ansible_host": "192.168.1.11"}
LEAVING = {"microk8s_state": "absent"}


def _machine(address: str, **more: Any) -> dict[str, Any]:
    """Return a host of the inventory by its name in DNS, with the facts that the role gathers."""
    return {"ansible_host": "attic.lan", "ansible_facts": {"default_ipv4": {"address": address}}, **more}


def _role(directory: Path, *hosts: dict[str, Any], **variables: Any) -> Role:
    names = [f"host-{number}" for number in range(len(hosts))]
    groups = {"control_plane": names[:1], "workers": names[1:], "home_servers": names}
    return Role(
        "firewall", directory, groups=groups, hostvars=dict(zip(names, hosts, strict=True)), **variables
    )


@pytest.mark.parametrize(
    ("attic", "variables", "nodes"),
    [
        (ATTIC, {}, ["192.168.1.10", "192.168.1.11"]),
        ({}, {}, ["192.168.1.10"]),
        (_machine("192.168.1.12"), {}, ["192.168.1.10", "192.168.1.12"]),
        (
            _machine("192.168.1.12", ansible_host="100.64.0.2"),
            {},
            ["100.64.0.2", "192.168.1.10", "192.168.1.12"],
        ),
        (
            {
                "ansible_host": "attic.lan",
                "ansible_facts": {"default_ipv4": {}, "default_ipv6": {"address": "fd00::2"}},
            },
            {},
            ["192.168.1.10", "fd00::2"],
        ),
        # Not part of the run, or off.
        (
            {"ansible_host": "attic.lan"},
            {"_firewall_members": {"stdout": "192.168.1.10 192.168.1.13"}},
            ["192.168.1.10", "192.168.1.13"],
        ),
        # It leaves, and is admitted as long as it is a member.
        (ATTIC | LEAVING, {}, ["192.168.1.10"]),
        (
            ATTIC | LEAVING,
            {"_firewall_members": {"stdout": "192.168.1.10 192.168.1.11"}},
            ["192.168.1.10", "192.168.1.11"],
        ),
        (ATTIC | {"microk8s_state": "present"}, {}, ["192.168.1.10", "192.168.1.11"]),
        # There is no cluster yet, or it is stopped.
        (ATTIC, {"_firewall_members": {"msg": "No such file"}}, ["192.168.1.10", "192.168.1.11"]),
        (
            ATTIC,
            {"_firewall_members": {"stdout": "microk8s is not running."}},
            ["192.168.1.10", "192.168.1.11"],
        ),
        (ATTIC, {"firewall_node_networks": ["10.8.0.0/24"]}, ["192.168.1.10", "192.168.1.11", "10.8.0.0/24"]),
    ],
    ids=[
        "address",
        "none",
        "name",
        "vpn",
        "ipv6",
        "member",
        "left",
        "leaves",
        "present",
        "no cluster",
        "stopped",
        "owner's",
    ],
)
def test_every_machine_is_admitted(
    tmp_path: Path, attic: dict[str, Any], variables: dict[str, Any], nodes: list[str]
) -> None:
    assert _role(tmp_path, HOME, attic, **variables).value("_firewall_nodes") == nodes


def test_a_home_of_one_machine_asks_nobody(tmp_path: Path) -> None:
    assert _role(tmp_path, HOME).value("_firewall_several") is False
    assert _role(tmp_path, HOME, ATTIC).value("_firewall_several") is True


def test_a_machine_that_leaves_has_no_closed_ports(tmp_path: Path) -> None:
    assert _role(tmp_path, HOME, ATTIC).value("_firewall_wanted") is True
    assert _role(tmp_path, HOME, ATTIC, **LEAVING).value("_firewall_wanted") is False


def test_the_rules_have_its_address(tmp_path: Path) -> None:
    rules = _role(tmp_path, HOME, _machine("192.168.1.12")).value(RULES)

    assert re.search(r"set nodes4 {[^}]*elements = { 192.168.1.10, 192.168.1.12 }", rules)


def test_a_machine_is_admitted_before_it_joins() -> None:
    cluster = yaml.safe_load((ROOT / "playbooks/stages/cluster.yml").read_text())
    order = [play["ansible.builtin.import_playbook"] for play in cluster]
    steps = ["firewall.yml", "../microk8s.yml", "verify_firewall.yml"]

    assert all(order.index(one) < order.index(next_) for one, next_ in itertools.pairwise(steps))


# A machine of the home on the other end of a wire, which tries two ports of this one.
WIRE = """
set -e
mount -t tmpfs tmpfs /run
ip netns add attic
ip link add "$2" type veth peer name eth0 netns attic
ip address add 192.168.1.10/24 dev "$2"
ip link set "$2" up
ip netns exec attic ip address add 192.168.1.11/24 dev eth0
ip netns exec attic ip link set eth0 up
/usr/sbin/nft --file "$1"
{python} -c "
import socket, time
listening = [socket.create_server(('', port)) for port in (10250, 25000)]
time.sleep(60)" &
trap "kill $!" EXIT
try() {{
  ip netns exec attic {python} -c "
import socket, time
def answers(port):
    try:
        socket.create_connection(('192.168.1.10', port), timeout=1).close()
    except ConnectionRefusedError:
        time.sleep(0.1)
        return answers(port)
    except OSError:
        return False
    return True
print(*(port for port in (10250, 25000) if answers(port)))"
}}
try
/usr/sbin/nft "add element inet homeserver joining {{ 192.168.1.11 timeout 600s }}"
try
/usr/sbin/nft flush set inet homeserver joining
try
/usr/sbin/nft "add element inet homeserver joining {{ 192.168.1.11 timeout 1s }}"
sleep 1.5
try
"""


@pytest.mark.parametrize("interface", ["eth1", "vxlan.calico"])
def test_only_a_machine_that_joins_reaches_the_cluster_agent_and_only_meanwhile(
    tmp_path: Path, interface: str
) -> None:
    ensure_packages(["iproute2", "nftables"])
    rules, script = tmp_path / "rules", tmp_path / "wire"
    rules.write_text(_role(tmp_path, HOME, ATTIC, ansible_managed="").value(RULES))
    script.write_text(WIRE.format(python=sys.executable))
    alone = ("unshare", "--user", "--map-root-user", "--net", "--mount")
    shell = ("sh", str(script), str(rules), interface)
    done = subprocess.run([*alone, *shell], capture_output=True, text=True, check=False)

    assert done.stdout.splitlines() == ["10250", "10250 25000", "10250", "10250"], done.stderr
