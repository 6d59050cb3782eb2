import json
from pathlib import Path

import pytest
from microk8s import network

LINKS = [
    {"ifname": "eth0", "addr_info": [{"local": "192.0.2.7"}, {"local": "192.0.2.8"}]},
    {"ifname": "eth1", "addr_info": [{"local": "198.51.100.7"}]},
    {"ifname": "docker0", "addr_info": [{"local": "172.17.0.1"}, {"local": "169.254.1.2"}, {}]},
    {"ifname": "tun0", "addr_info": [{"local": "2001:db8::7"}]},
    {"ifname": "vxlan.calico", "addr_info": [{"local": "10.1.135.0"}]},
    {"ifname": "cali01", "addr_info": []},
]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose `ip` prints the content of files."""
    program = tmp_path / "ip"
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        f'*"route show default") cat {tmp_path}/routes;;\n'
        f'*"dev eth1") cat {tmp_path}/eth1;;\n'
        f'*"address show scope global") cat {tmp_path}/links;;\n'
        "esac\n"
    )
    program.chmod(0o755)
    (tmp_path / "links").write_text(json.dumps(LINKS))
    (tmp_path / "eth1").write_text(json.dumps([{}, LINKS[1]]))
    (tmp_path / "routes").write_text('[{"dst": "default", "gateway": "198.51.100.1", "dev": "eth1"}]')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


@pytest.mark.usefixtures("host")
def test_all_addresses_but_the_pod_networks_belong_to_the_host() -> None:
    expected = ["192.0.2.7", "192.0.2.8", "198.51.100.7", "172.17.0.1", "2001:db8::7"]
    assert network.addresses() == expected


@pytest.mark.usefixtures("host")
def test_the_address_is_that_of_the_default_route() -> None:
    assert network.default_address() == "198.51.100.7"
    assert network.wait_for_default_route()


def test_without_a_default_route_there_is_no_address(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (host / "routes").write_text("[]")
    monkeypatch.setattr(network, "DEFAULT_ROUTE_TIMEOUT", 0)
    assert network.default_address() == "none"
    assert not network.wait_for_default_route()
