from ipaddress import IPv4Network

import pytest

from lab import network
from lab.host import LabError

SUBNET = IPv4Network("10.214.0.0/29")


def test_this_host_has_the_first_address_of_the_subnet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMESERVER_LAB_SUBNET", "192.168.77.0/24")
    assert str(network.bridge().host) == "192.168.77.1/24"


@pytest.mark.parametrize("subnet", ["10.0.0.1/24", "home", "10.0.0.0/33", "10.0.0.0/30", "fd00::/64", ""])
def test_an_invalid_or_small_subnet_is_named(monkeypatch: pytest.MonkeyPatch, subnet: str) -> None:
    monkeypatch.setenv("HOMESERVER_LAB_SUBNET", subnet)
    with pytest.raises(LabError, match="HOMESERVER_LAB_SUBNET"):
        network.bridge()


@pytest.mark.parametrize(
    ("taken", "free"),
    [
        ([], "10.214.0.2"),
        (["10.214.0.2"], "10.214.0.3"),
        (["10.214.0.3"], "10.214.0.2"),
        (["10.214.0.2", "10.214.0.4"], "10.214.0.3"),
        (["10.213.0.2"], "10.214.0.2"),
    ],
)
def test_a_machine_gets_the_lowest_free_address(taken: list[str], free: str) -> None:
    assert network.free_address(SUBNET, taken) == free


def test_without_free_addresses_the_error_has_a_fix() -> None:
    with pytest.raises(LabError, match="lab down"):
        network.free_address(SUBNET, [f"10.214.0.{last}" for last in range(2, 7)])


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("10.214.0.1", "10.214.0.1 cannot be a machine's address: use one from 10.214.0.2 to 10.214.0.6"),
        ("10.214.0.7", "use one from"),
        ("10.213.0.2", "use one from"),
        ("attic", "use one from"),
        ("10.214.0.3", "10.214.0.3 is another machine's address"),
    ],
)
def test_an_address_that_a_machine_cannot_have_is_rejected(address: str, message: str) -> None:
    network.check_address("10.214.0.2", SUBNET, ["10.214.0.3"])
    with pytest.raises(LabError, match=message):
        network.check_address(address, SUBNET, ["10.214.0.3"])


@pytest.mark.parametrize(
    ("interface", "address", "length", "message"),
    [
        ("eth0", "10.214.0.9", 24, r"eth0 \(10.214.0.0/24\) overlaps the lab's 10.214.0.0/24"),
        ("wlan0", "10.1.2.3", 8, r"wlan0 \(10.0.0.0/8\)"),
    ],
)
def test_a_subnet_in_use_on_this_host_is_rejected_before_any_change(
    monkeypatch: pytest.MonkeyPatch, interface: str, address: str, length: int, message: str
) -> None:
    shown = [{"ifname": interface, "addr_info": [{"family": "inet", "local": address, "prefixlen": length}]}]
    monkeypatch.setattr(network, "_show", lambda _what: shown)
    with pytest.raises(LabError, match=message):
        network.ensure(network.Bridge("labtest0", IPv4Network("10.214.0.0/24")))
