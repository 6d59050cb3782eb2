"""The text formats for constraints of options, each with a description."""

from __future__ import annotations

import ipaddress
import re
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit


class Format(NamedTuple):
    """A description, and a function that returns whether a text has the format, or raises the reason."""

    expected: str
    fits: Callable[[str], object]


_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SERVICE = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_REGISTRY = r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
_IMAGE = re.compile(rf"{_REGISTRY}(:\w[\w.-]{{0,127}})?(@sha256:[0-9a-f]{{64}})?")
_QUANTITY = re.compile(r"\d+(\.\d+)?([mkMGTPE]|[KMGTPE]i|[eE]\d+)?")
_EMAIL = re.compile(r"[^@\s,<>]+@([^@\s,]+)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_CRON_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_CRON_PART = re.compile(r"(\*|(\d+)(?:-(\d+))?)(?:/([1-9]\d*))?")


def is_dns_name(name: str) -> bool:
    """Return whether this is a valid DNS name, in lower case and without a trailing dot."""
    return len(name) <= 253 and all(_LABEL.fullmatch(label) for label in name.split("."))


def is_host_name(name: str) -> bool:
    """Return whether this is a DNS name and not an address, whose last label is a number."""
    return is_dns_name(name) and not name.rpartition(".")[2].isdigit()


def is_address(text: str) -> bool:
    """Return whether this is an IPv4 or IPv6 address."""
    return bool(ipaddress.ip_address(text))


def is_host(text: str) -> bool:
    """Return whether this is a host name or an address."""
    return is_host_name(text) or is_address(text)


def is_url(url: str, schemes: tuple[str, ...] = ("http", "https")) -> bool:
    """Return whether this is a URL with a host and, if it has a port, a valid one."""
    parts = urlsplit(url)
    _ = parts.port  # raises
    return parts.scheme in schemes and bool(parts.hostname) and not re.search(r"\s", url)


def is_host_with_port(text: str) -> bool:
    """Return whether this is a host and a port, and nothing else."""
    parts = urlsplit(f"//{text}")
    return bool(parts.hostname and parts.port) and parts.netloc == text and "@" not in text


def _is_url_with_address(url: str) -> bool:
    return is_url(url) and is_address(urlsplit(url).hostname or "") and urlsplit(url).path in ("", "/")


def _is_cron(schedule: str) -> bool:
    fields = schedule.split()
    return len(fields) == len(_CRON_FIELDS) and all(
        _is_cron_field(part, *limits)
        for field, limits in zip(fields, _CRON_FIELDS, strict=True)
        for part in field.split(",")
    )


def _is_cron_field(part: str, low: int, high: int) -> bool:
    found = _CRON_PART.fullmatch(part)
    numbers = [int(number) for number in found.group(2, 3) if number] if found else []
    return bool(found) and numbers == sorted(numbers) and all(low <= number <= high for number in numbers)


_WEEKDAYS = r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*"
_CALENDAR_DAYS = re.compile(rf"{_WEEKDAYS}(?:(?:,|\.\.){_WEEKDAYS})*", re.IGNORECASE)
_CALENDAR_DATE = re.compile(r"(?:([\d*,/.]+)-)?([\d*,/.]+)[-~]([\d*,/.]+)")
_CALENDAR_WORDS = ("hourly", "daily", "weekly", "monthly", "quarterly", "semiannually", "yearly")


def _is_calendar(text: str) -> bool:
    """Return whether systemd accepts this as a recurring time: weekdays, date, time, time zone."""
    parts = text.split()
    if text.lower() in _CALENDAR_WORDS:
        return True
    if len(parts) > 1 and "/" in parts[-1] + "/" and not re.match(r"[\d*]", parts[-1]):
        if not (parts[-1] == "UTC" or _is_time_zone(parts[-1])):
            return False
        parts.pop()
    if parts and _CALENDAR_DAYS.fullmatch(parts[0]):
        parts.pop(0)
    if parts and (date := _CALENDAR_DATE.fullmatch(parts[0])):
        year, month, day = date.groups()
        parts.pop(0)
        if not (_within(year or "*", 1970, 2199) and _within(month, 1, 12) and _within(day, 1, 31)):
            return False
    if not parts:
        return True
    times = parts[0].split(":")
    limits = (23, 59, 59)[: len(times)]
    return len(parts) == 1 and len(times) in (2, 3) and all(map(_within, times, (0, 0, 0), limits))


def _within(field: str, low: int, high: int) -> bool:
    """Return whether all numbers in a calendar field are in range."""
    numbers = [number for part in field.split(",") for number in re.split(r"\.\.", part.partition("/")[0])]
    steps = re.findall(r"/(\d+)", field)
    return all(
        number == "*" or (number.isdecimal() and low <= int(number) <= high) for number in numbers
    ) and len(steps) == field.count("/")


_BACKUP_KINDS = (
    r"/[^\s]*[^\s/]",
    r"sftp:(?://)?[\w.@:\[\]-]+[:/]\S+",
    r"s3:(?:https?://)?[\w.:-]+(?:/\S+)?",
    r"rest:https?://\S+",
)
_BACKUP_LOCATION = re.compile("|".join(_BACKUP_KINDS))
# A repository must not be inside a directory that is backed up.
_SAVED = ("/var/lib/homeserver-backup", "/var/snap/microk8s")


def _is_backup_location(text: str) -> bool:
    inside = any(text == place or text.startswith(f"{place}/") for place in _SAVED)
    return bool(_BACKUP_LOCATION.fullmatch(text)) and not inside


def _is_time_zone(name: str) -> bool:
    known = zoneinfo.available_timezones()
    return name in known or not known


def _is_email(text: str) -> bool:
    found = _EMAIL.fullmatch(text)
    return bool(found) and is_dns_name(found.group(1).lower() if found else "")


def _is_absolute(path: str) -> bool:
    return path.startswith(("/", "~"))


FORMATS = {
    "address": Format("an address such as 192.168.1.10", is_address),
    "backup-location": Format(
        "a directory such as /mnt/nas/home that is no part of what is saved, or a location with sftp:, s3: or"
        " rest:, such as sftp:backup@nas.lan:/home",
        _is_backup_location,
    ),
    "calendar": Format(
        "a time that comes again, as OnCalendar of systemd takes it, such as Mon..Fri *-*-* 03:15",
        _is_calendar,
    ),
    "absolute-path": Format("a path that begins with / or ~", _is_absolute),
    "certificate-name": Format(
        "a host name of lowercase letters, digits and hyphens, or one with *. before it",
        lambda name: is_host_name(name.removeprefix("*.")),
    ),
    "cron": Format("minute, hour, day, month and weekday in cron's syntax, such as */15 * * * *", _is_cron),
    "dns-label": Format(
        "a name of up to 63 lowercase letters, digits and hyphens, without a hyphen at its ends",
        _LABEL.fullmatch,
    ),
    "e-mail": Format("an e-mail address such as you@example.org", _is_email),
    "e-mails": Format(
        "e-mail addresses, separated by commas",
        lambda text: all(_is_email(part.strip()) for part in text.split(",")),
    ),
    "environment-variable": Format(
        "the name of an environment variable such as LOG_LEVEL", _VARIABLE.fullmatch
    ),
    "file": Format(
        "the full path of a file that exists on the control machine",
        lambda path: _is_absolute(path) and Path(path).expanduser().is_file(),
    ),
    "host": Format("a host name or an address", is_host),
    "host-name": Format(
        "a host name of lowercase letters, digits and hyphens such as nas.home.arpa", is_host_name
    ),
    "host-with-port": Format("a host and its port such as smtp.example.org:587", is_host_with_port),
    "https-url": Format(
        "a URL such as https://example.org/directory", lambda url: is_url(url, schemes=("https",))
    ),
    "image": Format(
        "an image, also with a digest, such as registry.example.org/blog:1.0.0",
        _IMAGE.fullmatch,
    ),
    "network": Format(
        "an address or a network such as 192.168.1.0/24",
        lambda text: ipaddress.ip_network(text, strict=False),
    ),
    "quantity": Format("a quantity of Kubernetes such as 100m, 0.5 or 256Mi", _QUANTITY.fullmatch),
    "registry": Format(
        "a registry, also with a path, without a scheme, such as registry.example.org:5000",
        re.compile(_REGISTRY).fullmatch,
    ),
    "service-name": Format(
        "a name of up to 63 lowercase letters, digits and hyphens, with a letter first", _SERVICE.fullmatch
    ),
    "source": Format(
        "the full path of a directory on the control machine with a Dockerfile",
        lambda path: _is_absolute(path) and (Path(path).expanduser() / "Dockerfile").is_file(),
    ),
    "time-zone": Format("a time zone such as Europe/Berlin", _is_time_zone),
    "url": Format("a URL with http or https such as http://192.168.1.20:5000", is_url),
    "url-with-address": Format(
        "a URL with an address such as http://192.168.1.20:5000, because the cluster does not know the names"
        " of the home network",
        _is_url_with_address,
    ),
}


def fits(name: str, text: str) -> bool:
    """Return whether a text has a format."""
    try:
        return bool(FORMATS[name].fits(text))
    except (ValueError, OSError, RuntimeError):  # no number, no permission, no such user
        return False
