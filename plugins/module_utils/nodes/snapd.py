"""Queries snapd on this host through its socket, because the output of its commands is for people."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any, NamedTuple

SOCKET = "/run/snapd.socket"
_RUNNING = "/v2/changes?select=in-progress"


class SnapdError(Exception):
    """The snap daemon does not answer, or it returns the error in the message."""


class Snap(NamedTuple):
    """An installed snap; `channel` is the channel that it follows, empty for a local file."""

    version: str
    revision: str
    channel: str
    held: bool


class Offer(NamedTuple):
    """The revision in a channel of the store; `released` is when the channel got it."""

    revision: str
    version: str
    released: str


def request(path: str, timeout: float = 30) -> Any:
    """Request a path of snapd's API, and wait at most `timeout` seconds.

    Raises:
        SnapdError: it does not answer, or returns an error.
    """
    connection = _UnixConnection("localhost", timeout=timeout)
    try:
        connection.request("GET", path)
        answer = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise SnapdError(f"snapd does not answer ({error})") from error
    finally:
        connection.close()
    if answer.get("type") == "error":
        raise SnapdError(answer["result"]["message"])
    return answer["result"]


class _UnixConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)


def version() -> str:
    """Return the version of snapd, or an empty text if it is not installed.

    A socket without a daemon also counts as not installed: systemd starts the daemon at the first request.
    """
    try:
        return str(request("/v2/system-info")["version"])
    except SnapdError:
        return ""


def snaps() -> dict[str, Snap]:
    """Return the installed snaps by name.

    Raises:
        SnapdError: snapd does not answer.
    """
    return {entry["name"]: _snap(entry) for entry in request("/v2/snaps")}


def _snap(entry: dict[str, Any]) -> Snap:
    return Snap(
        entry["version"], entry["revision"], entry.get("tracking-channel", ""), held=bool(entry.get("hold"))
    )


def wait_for_snaps(timeout: float) -> None:
    """Wait until snapd has finished installing, refreshing and removing, at most `timeout` seconds.

    Raises:
        SnapdError: it has not finished by then; the text lists the changes.
    """
    deadline = time.monotonic() + timeout
    while changes := [change for change in request(_RUNNING) or [] if _is_of_snap(change)]:
        if time.monotonic() > deadline:
            raise SnapdError(f"snapd is still busy after {timeout:.0f} s: {changes[0]['summary']}")
        time.sleep(1)


def _is_of_snap(change: dict[str, Any]) -> bool:
    """Return whether a change concerns a snap. Device registration does not, and never ends offline."""
    return str(change["kind"]).endswith("-snap")


def store_channels(snap: str) -> list[str]:
    """Return the channels of a snap in the store.

    Raises:
        SnapdError: the store cannot be reached or has no such snap.
    """
    return list(_channels(snap))


def store_offer(snap: str, channel: str) -> Offer:
    """Return what the store has in a channel such as `1.36/stable`.

    Raises:
        SnapdError: the store cannot be reached, or has nothing in this channel.
    """
    channels = _channels(snap)
    try:
        offer = channels[channel]
        return Offer(offer["revision"], offer["version"], offer["released-at"])
    except KeyError as error:
        raise SnapdError(f"the store has no {error} for {snap} in {channel}") from error


def _channels(snap: str) -> dict[str, dict[str, str]]:
    channels: dict[str, dict[str, str]] = request(f"/v2/find?name={snap}")[0].get("channels", {})
    return channels
