"""The few messages of the kubelet's device plugin API v1beta1, in the encoding of Protocol Buffers.

See https://github.com/kubernetes/kubelet/blob/master/pkg/apis/deviceplugin/v1beta1/api.proto
"""

from collections.abc import Iterable, Iterator

VERSION = "v1beta1"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}


def register_request(endpoint: str, resource: str) -> bytes:
    """Return a RegisterRequest.

    Args:
        endpoint: The name of the plugin's socket, beside that of the kubelet.
        resource: The full name of the resource.
    """
    return _field(1, VERSION) + _field(2, endpoint) + _field(3, resource)


def device_list(names: Iterable[str], *, healthy: bool) -> bytes:
    """Return a ListAndWatchResponse."""
    health = "Healthy" if healthy else "Unhealthy"
    return b"".join(_field(1, _field(1, name) + _field(2, health)) for name in names)


def allocate_response(request: bytes, cdi_device: str) -> bytes:
    """Return the AllocateResponse that gives a CDI device to each container of an AllocateRequest.

    Raises:
        ValueError: The request is not in the encoding of Protocol Buffers.
    """
    containers = sum(number == 1 for number in _fields(request))
    return _field(1, _field(5, _field(1, cdi_device))) * containers


def _field(number: int, value: str | bytes) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Return a number in groups of seven bits, the lowest first."""
    groups = [value & 127]
    while value := value >> 7:
        groups.append(value & 127)
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def _fields(message: bytes) -> Iterator[int]:
    """Return the number of each field of a message."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        yield key >> 3
        kind = key & 7
        if kind == _VARINT:
            _, at = _read_varint(message, at)
        elif kind == _BYTES:
            size, at = _read_varint(message, at)
            at += size
        elif kind in _SIZES:
            at += _SIZES[kind]
        else:
            raise ValueError(f"unknown kind of field {kind} at byte {at}")
    if at > len(message):
        raise ValueError(f"the message ends after {len(message)} of {at} bytes")


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """Return a number, and the position after it."""
    value = shift = 0
    while at < len(message):
        value |= (message[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if message[at - 1] < 128:
            return value, at
    raise ValueError(f"the message ends within a number, after {at} bytes")
