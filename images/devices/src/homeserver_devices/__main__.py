"""Looks for devices and serves them to the kubelet until SIGTERM."""

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from homeserver_devices import cdi
from homeserver_devices.devices import Device, nodes
from homeserver_devices.plugin import Plugin

_PERIOD = 2.0
"""Seconds between two looks at the devices and the kubelet's socket."""


@dataclass(frozen=True)
class Places:
    """Directories of the machine, as this process sees them.

    Attributes:
        kubelet: The one with the kubelet's socket.
        dev: /dev.
        cdi: One that containerd reads.
        state: Where a file `registered` says that the kubelet knows all devices, and `looked` has the time of
            the last look.
    """

    kubelet: Path
    dev: Path
    cdi: Path
    state: Path


async def serve(wanted: Sequence[Device], places: Places, ended: asyncio.Event) -> None:
    """Serve devices until the event is set."""
    plugins = [Plugin(device, places.kubelet) for device in wanted]
    registered = places.state / "registered"
    try:
        while not ended.is_set():
            found = {device.name: nodes(device, places.dev) for device in wanted}
            # containerd has to know a device before a pod gets it.
            cdi.write(places.cdi, found)
            for plugin in plugins:
                await plugin.set_health(healthy=bool(found[plugin.device.name]))
                await plugin.register()
            if all(plugin.is_registered for plugin in plugins):
                registered.touch()
            else:
                registered.unlink(missing_ok=True)
            (places.state / "looked").touch()
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _PERIOD)
    finally:
        for plugin in plugins:
            await plugin.stop()
        cdi.write(places.cdi, {})


async def _main() -> None:
    environment = os.environ
    wanted = [Device(**each) for each in json.loads(environment["DEVICES"])]
    places = Places(*(Path(environment[name]) for name in ("KUBELET", "DEV", "CDI", "STATE")))
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await serve(wanted, places, ended)


if __name__ == "__main__":
    asyncio.run(_main())
