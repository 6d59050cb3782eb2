"""Messages are those of the kubelet's API, as Protocol Buffers' own library reads and writes them."""

import pytest
from homeserver_devices import messages

from images.devices.tests.kubelet import MESSAGES


def test_a_registration_is_read() -> None:
    name = "homeserver.stack/" + "x" * 300  # its length has two bytes
    read = MESSAGES["RegisterRequest"].FromString(messages.register_request("a.sock", name))

    assert (read.version, read.endpoint, read.resource_name) == ("v1beta1", "a.sock", name)


def test_a_list_of_devices_is_read() -> None:
    read = MESSAGES["ListAndWatchResponse"].FromString(messages.device_list(["a", "b"], healthy=False))

    assert [(each.ID, each.health) for each in read.devices] == [("a", "Unhealthy"), ("b", "Unhealthy")]


@pytest.mark.parametrize("containers", [0, 1, 3])
def test_each_container_gets_its_device(containers: int) -> None:
    request = MESSAGES["AllocateRequest"]()
    for _ in range(containers):
        request.container_requests.add(devices_ids=["a" * 200])
    answer = messages.allocate_response(request.SerializeToString(), "k/d=a")
    read = MESSAGES["AllocateResponse"].FromString(answer)

    assert [[each.name for each in given.cdi_devices] for given in read.container_responses] == [
        ["k/d=a"]
    ] * containers


def test_fields_of_later_versions_are_skipped() -> None:
    later = b"\x10\x96\x01" + b"\x19" + bytes(8) + b"\x25" + bytes(4) + b"\x2a\x01x"
    answer = messages.allocate_response(b"\x0a\x00" + later, "k/d=a")

    assert len(MESSAGES["AllocateResponse"].FromString(answer).container_responses) == 1


@pytest.mark.parametrize("broken", [b"\x0a\x05x", b"\x0a", b"\x80", b"\x0b", b"\x09\x00"])
def test_a_broken_message_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match=r"message|unknown kind"):
        messages.allocate_response(broken, "k/d=a")
