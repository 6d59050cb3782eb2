"""The plugin serves devices to the kubelet, over its sockets."""

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from homeserver_devices.__main__ import Places, serve
from homeserver_devices.devices import Device, Node, nodes

from images.devices.tests.kubelet import Kubelet

STICK = Device("ttyUSB0", "/dev/ttyUSB0", "/dev/ttyUSB0")
CARD = Device("dri", "/dev/dri", "/dev/dri")
SPEC = "homeserver.stack-device.json"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Directories of a machine."""
    found = Places(*(tmp_path / name for name in ("kubelet", "dev", "cdi", "state")))
    for directory in (found.kubelet, found.dev, found.cdi, found.state):
        directory.mkdir()
    return found


def node(path: Path, kind: int = stat.S_IFCHR) -> None:
    """Make a device node, of the numbers of /dev/null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, kind | 0o600, os.makedev(1, 3))


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until a condition becomes true; fail after some seconds."""
    async with asyncio.timeout(8):
        while not is_so():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def serving(places: Places, *wanted: Device) -> AsyncIterator[None]:
    """Run the plugin."""
    ended = asyncio.Event()
    task = asyncio.create_task(serve(wanted, places, ended))
    try:
        yield
    finally:
        ended.set()
        await task


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run the story of a test."""
    asyncio.run(story)


def _given(places: Places) -> dict[str, Any]:
    """Return what containerd reads: the nodes of each device."""
    spec = json.loads((places.cdi / SPEC).read_text())
    assert spec["kind"] == "homeserver.stack/device"
    return {each["name"]: each["containerEdits"]["deviceNodes"] for each in spec["devices"]}


def test_a_device_is_registered_and_given_to_each_container(places: Places) -> None:
    node(places.dev / "dri/renderD128")

    async def story() -> None:
        kubelet = Kubelet(places.kubelet)
        async with kubelet.running(), serving(places, CARD):
            await until(lambda: bool(kubelet.registered))
            ((resource, endpoint),) = kubelet.registered
            assert resource == "homeserver.stack/dri"
            assert not (await kubelet.options(endpoint)).pre_start_required
            async with kubelet.listing(endpoint) as following:
                assert await following() == {f"dri-{number}": "Healthy" for number in range(16)}
            given = await kubelet.allocate(endpoint, ["dri-3"], ["dri-4", "dri-5"])
            assert given == [["homeserver.stack/device=dri"]] * 2
            await until((places.state / "registered").exists)

    run(story())


def test_a_serial_port_has_one_user(places: Places) -> None:
    node(places.dev / "ttyUSB0")

    async def story() -> None:
        kubelet = Kubelet(places.kubelet)
        async with kubelet.running(), serving(places, STICK):
            await until(lambda: bool(kubelet.registered))
            async with kubelet.listing(kubelet.registered[0][1]) as following:
                assert await following() == {"ttyUSB0-0": "Healthy"}

    run(story())


def test_a_device_goes_and_comes_back(places: Places) -> None:
    async def story() -> None:
        kubelet = Kubelet(places.kubelet)
        async with kubelet.running(), serving(places, STICK):
            await until(lambda: bool(kubelet.registered))
            async with kubelet.listing(kubelet.registered[0][1]) as following:
                assert await following() == {"ttyUSB0-0": "Unhealthy"}
                assert not (places.cdi / SPEC).exists()
                node(places.dev / "ttyUSB0")
                assert await following() == {"ttyUSB0-0": "Healthy"}
                assert _given(places).keys() == {"ttyUSB0"}
                (places.dev / "ttyUSB0").unlink()
                assert await following() == {"ttyUSB0-0": "Unhealthy"}

    run(story())


def test_a_kubelet_that_starts_again_knows_the_devices(places: Places) -> None:
    node(places.dev / "ttyUSB0")

    async def story() -> None:
        first, second = Kubelet(places.kubelet), Kubelet(places.kubelet)
        async with serving(places, STICK):
            async with first.running():
                await until(lambda: bool(first.registered))
                await until((places.state / "registered").exists)
            await until(lambda: not (places.state / "registered").exists())
            async with second.running():
                await until(lambda: bool(second.registered))
                async with second.listing(second.registered[0][1]) as following:
                    assert await following() == {"ttyUSB0-0": "Healthy"}
        assert len(first.registered) == len(second.registered) == 1

    run(story())


def test_a_socket_that_is_removed_is_made_again(places: Places) -> None:
    async def story() -> None:
        kubelet = Kubelet(places.kubelet)
        async with kubelet.running(), serving(places, STICK):
            await until(lambda: bool(kubelet.registered))
            (places.kubelet / kubelet.registered[0][1]).unlink()
            await until(lambda: len(kubelet.registered) == 2)
            async with kubelet.listing(kubelet.registered[1][1]) as following:
                assert await following() == {"ttyUSB0-0": "Unhealthy"}

    run(story())


def test_a_new_kubelet_is_recognized_by_its_socket_alone(places: Places) -> None:
    """It may have removed the sockets before the plugin made its own."""

    async def story() -> None:
        first, second = Kubelet(places.kubelet), Kubelet(places.kubelet)
        async with serving(places, STICK):
            async with first.running():
                await until(lambda: bool(first.registered))
            async with second.running(removing=False):
                await until(lambda: bool(second.registered))

    run(story())


def test_a_kubelet_that_refuses_is_asked_again(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    async def story() -> None:
        kubelet = Kubelet(places.kubelet)
        kubelet.refuses = True
        async with kubelet.running(), serving(places, STICK):
            await until(lambda: "not now" in capsys.readouterr().out)
            kubelet.refuses = False
            await until(lambda: bool(kubelet.registered))

    run(story())


def test_what_it_made_is_removed_in_the_end(places: Places) -> None:
    node(places.dev / "ttyUSB0")

    async def story() -> None:
        kubelet = Kubelet(places.kubelet)
        async with kubelet.running():
            async with serving(places, STICK):
                await until((places.state / "registered").exists)
                assert (places.cdi / SPEC).exists()
            assert [each.name for each in places.kubelet.iterdir()] == ["kubelet.sock"]
            assert not list(places.cdi.iterdir())

    run(story())


def test_containers_of_any_user_may_read_and_write_and_make_no_nodes(places: Places) -> None:
    node(places.dev / "ttyUSB0")

    async def story() -> None:
        async with serving(places, replace(STICK, inside="/dev/ttyACM0")):
            await until((places.cdi / SPEC).exists)
            (given,) = _given(places)["ttyUSB0"]
            expected = {"path": "/dev/ttyACM0", "hostPath": "/dev/ttyUSB0", "permissions": "rw"}
            assert given == expected | {"fileMode": 0o666}

    run(story())


def test_a_directory_has_its_character_devices_alone(tmp_path: Path) -> None:
    node(tmp_path / "dri/card0")
    node(tmp_path / "dri/deep/renderD128")
    node(tmp_path / "dri/disk", stat.S_IFBLK)
    (tmp_path / "dri/by-path").symlink_to("card0")
    (tmp_path / "dri/text").write_text("none")

    assert nodes(replace(CARD, inside="/gpu"), tmp_path) == [
        Node("/dev/dri/card0", "/gpu/card0"),
        Node("/dev/dri/deep/renderD128", "/gpu/deep/renderD128"),
    ]


@pytest.mark.parametrize("target", ["../../ttyUSB0", "/dev/ttyUSB0"])
def test_a_link_leads_to_its_device(tmp_path: Path, target: str) -> None:
    node(tmp_path / "ttyUSB0")
    (tmp_path / "serial/by-id").mkdir(parents=True)
    (tmp_path / "serial/by-id/stick").symlink_to(target)
    stick = Device("serial.by-id.stick", "/dev/serial/by-id/stick", "/dev/zigbee")

    assert nodes(stick, tmp_path) == [Node("/dev/ttyUSB0", "/dev/zigbee")]
    assert stick.is_serial_port


@pytest.mark.parametrize("target", ["../../etc/shadow", "stick", "/etc/shadow", "nowhere"])
def test_a_link_out_of_dev_or_to_nothing_has_no_device(tmp_path: Path, target: str) -> None:
    (tmp_path / "stick").symlink_to(target)

    assert nodes(Device("stick", "/dev/stick", "/dev/stick"), tmp_path) == []


def test_a_disk_is_not_given(tmp_path: Path) -> None:
    node(tmp_path / "sda", stat.S_IFBLK)

    assert nodes(Device("sda", "/dev/sda", "/dev/sda"), tmp_path) == []
