"""Serves one resource to the kubelet."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

from homeserver_devices import messages
from homeserver_devices.audit import record
from homeserver_devices.cdi import DOMAIN, KIND
from homeserver_devices.devices import Device

KUBELET = "kubelet.sock"
"""The kubelet's socket. The kubelet removes all sockets beside it when it starts, and makes it again."""

_SHARES = 16
"""How many pods may use a device that can be shared."""
_TIMEOUT = 5.0
"""Seconds for a registration."""
_Identity = tuple[int, int]


class Plugin:
    """One resource.

    Attributes:
        device: What it gives to pods.
    """

    def __init__(self, device: Device, directory: Path) -> None:
        """Prepare it.

        Args:
            device: What it gives to pods.
            directory: The directory of the kubelet's socket.
        """
        self.device = device
        self._directory = directory
        self._socket = directory / f"homeserver-{device.name}.sock"
        self._healthy = False
        self._changed = asyncio.Condition()
        self._server: Any = None
        self._registered_with: _Identity | None = None
        self._refusal = ""

    @property
    def is_registered(self) -> bool:
        """Whether the kubelet that runs now knows it."""
        kubelet = _identity(self._directory / KUBELET)
        return kubelet is not None and kubelet == self._registered_with and self._socket.exists()

    async def set_health(self, *, healthy: bool) -> None:
        """Tell the kubelet whether the machine has the device."""
        if healthy == self._healthy:
            return
        record("found" if healthy else "missing", device=self.device.path, resource=self.device.name)
        async with self._changed:
            self._healthy = healthy
            self._changed.notify_all()

    async def register(self) -> None:
        """Start the server and register it, unless the kubelet that runs now knows it already.

        A kubelet that does not answer is asked again by the next call.
        """
        kubelet = _identity(self._directory / KUBELET)
        if kubelet is None or self.is_registered:
            return
        await self.stop()
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((self._handlers(),))
        self._server.add_insecure_port(f"unix:{self._socket}")
        await self._server.start()
        request = messages.register_request(self._socket.name, f"{DOMAIN}/{self.device.name}")
        try:
            async with grpc.aio.insecure_channel(f"unix:{self._directory / KUBELET}") as channel:
                await channel.unary_unary("/v1beta1.Registration/Register")(request, timeout=_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            reason = f"{error.code().name}: {error.details()}"
            if reason != self._refusal:
                record("not registered", resource=self.device.name, reason=reason)
            self._refusal = reason
            return
        self._registered_with, self._refusal = kubelet, ""
        record("registered", resource=self.device.name)

    async def stop(self) -> None:
        """Stop the server, and remove its socket."""
        self._registered_with = None
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    def _handlers(self) -> Any:
        answers = {
            "GetDevicePluginOptions": grpc.unary_unary_rpc_method_handler(self._answer_nothing),
            "ListAndWatch": grpc.unary_stream_rpc_method_handler(self._list_and_watch),
            "Allocate": grpc.unary_unary_rpc_method_handler(self._allocate),
        }
        return grpc.method_handlers_generic_handler("v1beta1.DevicePlugin", answers)

    async def _answer_nothing(self, _request: bytes, _context: Any) -> bytes:
        """Return a message with its defaults: it needs no call before a container starts."""
        return b""

    async def _list_and_watch(self, _request: bytes, _context: Any) -> AsyncIterator[bytes]:
        shares = 1 if self.device.is_serial_port else _SHARES
        names = [f"{self.device.name}-{number}" for number in range(shares)]
        healthy = self._healthy
        while True:
            yield messages.device_list(names, healthy=healthy)
            async with self._changed:
                while self._healthy is healthy:
                    await self._changed.wait()
                healthy = self._healthy

    async def _allocate(self, request: bytes, _context: Any) -> bytes:
        record("allocated", device=self.device.path, resource=self.device.name)
        return messages.allocate_response(request, f"{KIND}={self.device.name}")


def _identity(socket: Path) -> _Identity | None:
    """Return what distinguishes a socket from one that is made later at the same path; None without one."""
    try:
        found = socket.stat()
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns
