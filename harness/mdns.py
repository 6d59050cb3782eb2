"""Asks for a name by mDNS (RFC 6762), like a phone in the same network."""

import socket
import struct
import time

_GROUP = ("224.0.0.251", 5353)
_ADDRESS, _INTERNET = 1, 1
_UNICAST = 0x8000  # the answer may come to the asking port


def addresses(name: str, through: str, seconds: float = 5) -> set[str]:
    """Return the IPv4 addresses that a network answers for a name.

    Args:
        name: The name, such as home.local.
        through: An address of this computer in the network.
        seconds: How long to wait for an answer. Questions are repeated, because they may be lost.
    """
    question = struct.pack("!HHHHHH", 0, 0, 1, 0, 0, 0) + _encoded(name)
    question += struct.pack("!HH", _ADDRESS, _INTERNET | _UNICAST)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(through))
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        asking.bind((through, 0))
        asking.settimeout(0.5)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            asking.sendto(question, _GROUP)
            try:
                found = _answered(asking.recv(9000), name)
            except TimeoutError:
                continue
            if found:
                return found
    return set()


def _encoded(name: str) -> bytes:
    labels = name.encode().split(b".")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _answered(message: bytes, name: str) -> set[str]:
    """Return the addresses of this name in an answer."""
    questions, answers = struct.unpack_from("!HH", message, 4)
    place, found = 12, set()
    for _ in range(questions):
        place = _name(message, place)[1] + 4
    for _ in range(answers):
        owner, place = _name(message, place)
        kind, _, _, length = struct.unpack_from("!HHIH", message, place)
        place += 10
        if kind == _ADDRESS and owner == name:
            found.add(socket.inet_ntoa(message[place : place + length]))
        place += length
    return found


def _name(message: bytes, place: int) -> tuple[str, int]:
    """Return the name at a place of a message, and the place behind it."""
    labels: list[str] = []
    while size := message[place]:
        if size >= 0xC0:  # the rest of the name is elsewhere
            rest, _ = _name(message, struct.unpack_from("!H", message, place)[0] & 0x3FFF)
            return ".".join([*labels, rest]), place + 2
        labels.append(message[place + 1 : place + 1 + size].decode())
        place += 1 + size
    return ".".join(labels), place + 1
