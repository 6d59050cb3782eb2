"""The kernel applies the firewall's rules in networks like those of a node."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.rendering import Role
from harness.waiting import wait_until
from lab.host import ensure_packages

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes networks")

RULES = "lookup('homeserver.stack.template', role_path ~ '/templates/firewall.nft.j2')"
NODE, NEIGHBOUR, GUEST, ELSEWHERE = "192.168.9.1", "192.168.9.2", "192.168.9.66", "172.16.7.66"
MAC = {"node": "66:00:00:00:00:01", "guest": "66:00:00:00:00:02"}
POD, OTHER_POD, REMOTE_POD = "10.1.5.2", "10.1.5.3", "10.1.6.2"
SERVICE, API_SERVICE = "10.152.183.20", "10.152.183.1"
# A pod of the other node, a device in the LAN, and a pod of the node itself.
SOURCES = (REMOTE_POD, "192.168.9.77", OTHER_POD)
ROOT_USER, OWNER, NAMED = 0, 1000, 472
# What kube-proxy makes of a service, of one that the host serves itself, and of Traefik at its address.
KUBE_PROXY = f"""
table ip kube-proxy {{
    chain services {{
        ip daddr {SERVICE} tcp dport 80 dnat to {POD}:80
        ip daddr {API_SERVICE} tcp dport 443 dnat to {NODE}:9101
        ip daddr {NODE} tcp dport 443 dnat to {POD}:80
    }}
    chain prerouting {{ type nat hook prerouting priority dstnat; jump services; }}
    chain output {{ type nat hook output priority -100; jump services; }}
}}
"""
LISTEN = """
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
while True:
    server.accept()[0].sendall(b"here")
"""
GREETED = """
import socket, sys
sys.exit(not socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1).recv(1))
"""
REFUSED = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 80), timeout=5)
except ConnectionRefusedError:
    sys.exit(0)
sys.exit(1)
"""
# It listens until its input ends, which is after the last datagram was sent.
RECEIVE = """
import socket, sys
receiver = socket.socket(type=socket.SOCK_DGRAM)
receiver.bind((sys.argv[1], int(sys.argv[2])))
print("bound", flush=True)
sys.stdin.read()
receiver.settimeout(1)
receiver.recv(1)
"""
SEND = """
import socket, sys, time
sender = socket.socket(type=socket.SOCK_DGRAM)
sender.bind((sys.argv[1], 0))
for _ in range(3):
    sender.sendto(b"x", (sys.argv[2], int(sys.argv[3])))
    time.sleep(0.05)
"""


class Network:
    """A node with two pods, a guest in its LAN, and a network on another interface; removed at the end."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._id = uuid.uuid4().hex[:6]
        for name in ("node", "guest", "elsewhere", "pod", "other-pod"):
            self._run("ip", "netns", "add", self._named(name))
            stack.callback(self._run, "ip", "netns", "delete", self._named(name))
            self.run(name, "ip", "link", "set", "lo", "up")
        self._link("lan", f"{NODE}/24", "guest", f"{GUEST}/24")
        self._link("dmz", "172.16.7.1/24", "elsewhere", f"{ELSEWHERE}/24")
        self._link("cali1", "169.254.1.1/32", "pod", f"{POD}/32")
        self._link("cali2", "169.254.1.1/32", "other-pod", f"{OTHER_POD}/32")
        self.run(
            "node", "sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0"
        )
        self.run("node", "ip", "route", "add", "default", "via", GUEST)
        self.run("node", "nft", "--file", "-", given=KUBE_PROXY)

    def _named(self, name: str) -> str:
        return f"homelab-{name}-{self._id}"

    def _run(self, *command: str, given: str = "") -> None:
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr)

    def run(self, name: str, *command: str, given: str = "") -> None:
        """Run a command in one of the networks, which has to succeed."""
        self._run("ip", "netns", "exec", self._named(name), *command, given=given)

    def _link(self, interface: str, own: str, name: str, address: str) -> None:
        """Connect the node with another; who is there sends everything to it."""
        end = ["type", "veth", "peer", "name", "eth0", "netns", self._named(name)]
        self.run("node", "ip", "link", "add", interface, *end)
        self.run("node", "ip", "address", "add", own, "dev", interface)
        self.run("node", "ip", "link", "set", interface, "up")
        self.run(name, "ip", "address", "add", address, "dev", "eth0")
        self.run(name, "ip", "link", "set", "eth0", "up")
        gateway = own.partition("/")[0]
        self.run(name, "ip", "route", "add", "default", "via", gateway, "dev", "eth0", "onlink")
        if address.endswith("/32"):
            self.run("node", "ip", "route", "add", address, "dev", interface)

    def load(self, rules: str) -> None:
        """Load the rules of the role."""
        self.run("node", "nft", "--file", "-", given=rules)

    def listen(self, name: str, address: str, port: int, user: int = ROOT_USER) -> None:
        """Greet whoever connects in one of the networks."""
        process = subprocess.Popen([*self._in(name, user), "-c", LISTEN, address, str(port)])
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        wait_until(lambda: self.reaches(name, address, port))

    def receives(self, name: str, sender: str, source: str, at: tuple[str, int] = (POD, 5353)) -> bool:
        """Whether a datagram arrives that is sent in another network from an address of its choice."""
        target = [at[0], str(at[1])]
        command = [*self._in(name), "-c", RECEIVE, *target]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as receiver:
            assert receiver.stdout is not None
            assert receiver.stdout.readline() == b"bound\n"
            subprocess.run([*self._in(sender), "-c", SEND, source, *target], check=True)
            receiver.communicate()
        return receiver.returncode == 0

    def _in(self, name: str, user: int = ROOT_USER) -> list[str]:
        identity = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        return ["ip", "netns", "exec", self._named(name), *identity, "/usr/bin/python3"]

    def reaches(self, name: str, address: str, port: int, user: int = ROOT_USER) -> bool:
        """Whether a user of one of the networks is greeted at an address."""
        return self.succeeds(name, GREETED, address, str(port), user=user)

    def succeeds(self, name: str, program: str, *arguments: str, user: int = ROOT_USER) -> bool:
        """Whether a program of a user of one of the networks succeeds."""
        command = [*self._in(name, user), "-c", program, *arguments]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A node with the role's rules, whose pod and whose node exporter greet."""
    ensure_packages(["iproute2", "nftables"])
    role = Role(
        "firewall",
        tmp_path_factory.mktemp("role"),
        homeserver_admin_networks=[f"{GUEST}/32"],
        firewall_pod_users=[NAMED],
        firewall_node_networks=[NEIGHBOUR],
    )
    with ExitStack() as stack:
        network = Network(stack)
        network.listen("pod", POD, 80)
        network.listen("node", NODE, 9101, user=OWNER)
        network.load(str(role.value(RULES)))
        yield network


@pytest.mark.parametrize("address", [POD, SERVICE])
def test_of_the_users_of_the_host_only_root_and_who_is_named_reach_pods(
    network: Network, address: str
) -> None:
    assert network.reaches("node", address, 80)
    assert network.reaches("node", address, 80, user=NAMED)
    assert not network.reaches("node", address, 80, user=OWNER)


def test_a_user_of_the_host_reaches_the_pages_like_everybody(network: Network) -> None:
    assert network.reaches("node", NODE, 443, user=OWNER)
    assert network.reaches("guest", NODE, 443)


def test_what_is_refused_is_told_at_once(network: Network) -> None:
    assert network.succeeds("node", REFUSED, POD, user=OWNER)


def test_a_program_of_another_user_answers_pods(network: Network) -> None:
    """As the node exporter, which runs in the host's network, does."""
    assert network.reaches("pod", NODE, 9101)
    assert network.reaches("pod", API_SERVICE, 443)


@pytest.mark.parametrize("address", [POD, SERVICE])
@pytest.mark.parametrize("name", ["guest", "elsewhere"])
def test_nobody_is_routed_to_pods_and_services(network: Network, name: str, address: str) -> None:
    assert not network.reaches(name, address, 80)


@pytest.mark.parametrize("address", [POD, SERVICE])
def test_pods_reach_pods_and_services(network: Network, address: str) -> None:
    assert network.reaches("other-pod", address, 80)


def test_only_the_networks_of_admins_reach_the_api(network: Network) -> None:
    network.listen("node", NODE, 16443)

    assert network.reaches("guest", NODE, 16443)
    assert not network.reaches("elsewhere", NODE, 16443)


def test_pods_are_answered_from_outside(network: Network) -> None:
    network.listen("guest", GUEST, 8080)

    assert network.reaches("pod", GUEST, 8080)


@pytest.fixture
def spoofer(network: Network) -> Iterator[Network]:
    """A guest who has the address of another node, and sends VXLAN from addresses of his choice."""
    vxlan = ["type", "vxlan", "id", "4096", "dstport", "4789", "nolearning"]
    for name, own, peer in (("node", NODE, NEIGHBOUR), ("guest", NEIGHBOUR, NODE)):
        link = ["vxlan.calico", "address", MAC[name], *vxlan, "local", own, "remote", peer]
        if name == "guest":
            network.run(name, "ip", "address", "add", f"{NEIGHBOUR}/24", "dev", "eth0")
        network.run(name, "ip", "link", "add", *link)
        network.run(name, "ip", "link", "set", "vxlan.calico", "up")
    network.run("node", "ip", "route", "add", "10.1.6.0/26", "dev", "vxlan.calico")
    for address in SOURCES:
        network.run("guest", "ip", "address", "replace", f"{address}/32", "dev", "vxlan.calico")
    network.run("guest", "ip", "route", "add", POD, "dev", "vxlan.calico")
    network.run("guest", "ip", "neighbour", "add", POD, "lladdr", MAC["node"], "dev", "vxlan.calico")
    yield network
    for name in ("node", "guest"):
        network.run(name, "ip", "link", "delete", "vxlan.calico")
    network.run("guest", "ip", "address", "delete", f"{NEIGHBOUR}/24", "dev", "eth0")


def test_vxlan_brings_only_what_pods_of_other_nodes_send(spoofer: Network) -> None:
    assert [spoofer.receives("pod", "guest", source) for source in SOURCES] == [True, False, False]


def test_what_wireguard_protects_does_not_come_by_vxlan(spoofer: Network) -> None:
    """Felix leads to a node that has published a key by its own table, and to others as before."""
    rule = ["not", "from", "all", "fwmark", "0x100000/0x100000", "table", "1", "priority", "99"]
    spoofer.run("node", "ip", "link", "add", "wireguard.cali", "type", "veth")
    spoofer.run("node", "ip", "link", "set", "wireguard.cali", "up")
    spoofer.run("node", "ip", "rule", "add", *rule)
    try:
        assert spoofer.receives("pod", "guest", REMOTE_POD)
        spoofer.run("node", "ip", "route", "add", "10.1.6.0/26", "dev", "wireguard.cali", "table", "1")
        assert not spoofer.receives("pod", "guest", REMOTE_POD)
    finally:
        spoofer.run("node", "ip", "rule", "delete", *rule)
        spoofer.run("node", "ip", "link", "delete", "wireguard.cali")


def test_a_node_is_admitted_only_from_where_it_is(network: Network) -> None:
    for name in ("guest", "elsewhere"):
        network.run(name, "ip", "address", "add", f"{NEIGHBOUR}/32", "dev", "eth0")
    try:
        assert network.receives("node", "guest", NEIGHBOUR, (NODE, 4789))
        assert not network.receives("node", "guest", GUEST, (NODE, 4789))
        assert not network.receives("node", "elsewhere", NEIGHBOUR, (NODE, 4789))
    finally:
        for name in ("guest", "elsewhere"):
            network.run(name, "ip", "address", "delete", f"{NEIGHBOUR}/32", "dev", "eth0")
