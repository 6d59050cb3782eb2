"""A stand-in for the kubelet: its registration server, and a client of the plugins that register."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# The messages of api.proto, as fields by name: number, type, and whether it is repeated.
_TEXT, _FLAG = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, descriptor_pb2.FieldDescriptorProto.TYPE_BOOL
_MESSAGES: dict[str, dict[str, tuple[int, Any, bool]]] = {
    "Empty": {},
    "DevicePluginOptions": {
        "pre_start_required": (1, _FLAG, False),
        "get_preferred_allocation_available": (2, _FLAG, False),
    },
    "RegisterRequest": {
        "version": (1, _TEXT, False),
        "endpoint": (2, _TEXT, False),
        "resource_name": (3, _TEXT, False),
        "options": (4, "DevicePluginOptions", False),
    },
    "Device": {"ID": (1, _TEXT, False), "health": (2, _TEXT, False)},
    "ListAndWatchResponse": {"devices": (1, "Device", True)},
    "ContainerAllocateRequest": {"devices_ids": (1, _TEXT, True)},
    "AllocateRequest": {"container_requests": (1, "ContainerAllocateRequest", True)},
    "CDIDevice": {"name": (1, _TEXT, False)},
    "ContainerAllocateResponse": {"cdi_devices": (5, "CDIDevice", True)},
    "AllocateResponse": {"container_responses": (1, "ContainerAllocateResponse", True)},
}


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="api.proto", package="v1beta1", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            added = message.field.add(name=field, number=number, label=3 if repeated else 1)
            if isinstance(kind, str):
                added.type, added.type_name = added.TYPE_MESSAGE, f".v1beta1.{kind}"
            else:
                added.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = message_factory.GetMessageClassesForFiles(["api.proto"], pool)
    return {name.removeprefix("v1beta1."): each for name, each in found.items()}


MESSAGES = _classes()
"""The class of each message, by its name."""


class Kubelet:
    """What the plugins of a directory told it.

    Attributes:
        registered: The resources with their sockets, each time that one registers.
        refuses: Whether it refuses registrations.
    """

    def __init__(self, directory: Path) -> None:
        """Prepare it; `directory` is that of its socket."""
        self.directory = directory
        self.registered: list[tuple[str, str]] = []
        self.refuses = False

    @asynccontextmanager
    async def running(self, *, removing: bool = True) -> AsyncIterator[None]:
        """Answer on its socket. As the real one, it first removes all sockets."""
        for socket in self.directory.glob("*.sock") if removing else ():
            socket.unlink()
        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(
            self._register,
            request_deserializer=MESSAGES["RegisterRequest"].FromString,
            response_serializer=MESSAGES["Empty"].SerializeToString,
        )
        service = grpc.method_handlers_generic_handler("v1beta1.Registration", {"Register": handler})
        server.add_generic_rpc_handlers((service,))
        server.add_insecure_port(f"unix:{self.directory}/kubelet.sock")
        await server.start()
        try:
            yield
        finally:
            await server.stop(None)

    async def _register(self, request: Any, context: Any) -> Any:
        if self.refuses:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        assert request.version == "v1beta1"
        assert not request.options.pre_start_required
        self.registered.append((request.resource_name, request.endpoint))
        return MESSAGES["Empty"]()

    @asynccontextmanager
    async def listing(self, endpoint: str) -> AsyncIterator[Any]:
        """Watch the devices of a plugin; yields a function that returns the next list, as health by ID."""
        async with self._channel(endpoint) as channel:
            call = channel.unary_stream(
                "/v1beta1.DevicePlugin/ListAndWatch",
                request_serializer=MESSAGES["Empty"].SerializeToString,
                response_deserializer=MESSAGES["ListAndWatchResponse"].FromString,
            )(MESSAGES["Empty"]())

            async def following() -> dict[str, str]:
                response = await asyncio.wait_for(call.read(), 5)
                return {device.ID: device.health for device in response.devices}

            yield following
            call.cancel()

    async def allocate(self, endpoint: str, *containers: list[str]) -> list[list[str]]:
        """Ask for devices of containers, and return the CDI devices of each."""
        request = MESSAGES["AllocateRequest"]()
        for ids in containers:
            request.container_requests.add(devices_ids=ids)
        async with self._channel(endpoint) as channel:
            response = await channel.unary_unary(
                "/v1beta1.DevicePlugin/Allocate",
                request_serializer=MESSAGES["AllocateRequest"].SerializeToString,
                response_deserializer=MESSAGES["AllocateResponse"].FromString,
            )(request, timeout=5)
        return [[device.name for device in each.cdi_devices] for each in response.container_responses]

    async def options(self, endpoint: str) -> Any:
        """Return the options of a plugin."""
        async with self._channel(endpoint) as channel:
            return await channel.unary_unary(
                "/v1beta1.DevicePlugin/GetDevicePluginOptions",
                request_serializer=MESSAGES["Empty"].SerializeToString,
                response_deserializer=MESSAGES["DevicePluginOptions"].FromString,
            )(MESSAGES["Empty"](), timeout=5)

    def _channel(self, endpoint: str) -> Any:
        return grpc.aio.insecure_channel(f"unix:{self.directory / endpoint}")
