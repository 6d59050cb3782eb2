"""Recognizes the device that asks, by its user agent."""

import re
from typing import NamedTuple


class Device(NamedTuple):
    """A device.

    Attributes:
        name: Its name for a reader.
        guide: The guide for it; empty if it is unknown.
    """

    name: str
    guide: str


# The order matters: Android also names Linux, and a phone with Windows names Android.
_SYSTEMS = (
    (r"\bWindows\b", "Windows", "windows"),
    (r"\biPhone\b|\biPod\b", "iPhone", "ios"),
    (r"\biPad\b", "iPad", "ios"),
    (r"\bMacintosh\b", "Mac", "macos"),
    (r"\bAndroid\b", "Android", "android"),
    (r"\bCrOS\b", "Chromebook", "linux"),
    (r"\bLinux\b|\bX11\b", "Linux", "linux"),
)
_FIREFOX = re.compile(r"\bFirefox/")
_UNKNOWN = Device("unknown", "")


def device(user_agent: str) -> Device:
    """Return the device with a user agent.

    An iPad asks for pages as a Mac does; only a script of the page can distinguish them.
    """
    for pattern, name, guide in _SYSTEMS:
        if re.search(pattern, user_agent):
            # On other systems, it trusts what the system trusts; Android's guide has its setting.
            if guide == "linux" and _FIREFOX.search(user_agent):
                return Device(f"Firefox on {name}", "firefox")
            return Device(name, guide)
    return _UNKNOWN
