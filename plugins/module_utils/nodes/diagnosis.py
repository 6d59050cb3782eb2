"""Explains from the logs of MicroK8s' services why they do not run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_LINES = 6
_WIDTH = 240
_SAME = 60
_VARYING = re.compile(r"^[A-Z]\d{4} \S+\s+\d+ |\d{4}-\d\d-\d\d \S+|[0-9a-f]{8,}|\d+")
_TELLING = re.compile(
    r"^[EF]\d{4} |error|fail|panic|fatal|refused|cannot|unknown|invalid|denied", re.IGNORECASE
)
_HELP = re.compile(r"^\s+-|^\s*$|^Usage:")

_CAUSES = [
    (r"unknown flag: (--[\w-]+)", "there is no flag {0}", "remove it from the microk8s_extra_*_args"),
    (
        r'invalid argument "([^"]*)" for "([^"]+)" flag',
        "the flag {1} takes no {0!r}",
        "correct it in the microk8s_extra_*_args",
    ),
    (
        r"unrecognized feature gate: (\w+)",
        "there is no feature gate {0}",
        "remove it from the microk8s_extra_*_args",
    ),
    (
        r"not run on a host using cgroup v1",
        "the host uses control groups of version 1",
        "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line",
    ),
    (
        r"(\S+): bind: address already in use",
        "{0} is taken by another program",
        "find it with: sudo ss -tlnp",
    ),
    (r"no space left on device", "the disk is full", "free space at /var/snap"),
    (
        r"certificate has expired or is not yet valid",
        "a certificate has expired, or the clock is wrong",
        "compare the host's time; if that is right, check with: sudo microk8s refresh-certs -c",
    ),
    (
        r"too many open files|inotify_init",
        "the kernel's limit of watched files is reached",
        "raise fs.inotify.* in microk8s_sysctl",
    ),
    (r"cannot allocate memory|oom-kill|signal: killed", "memory ran out", "add memory, or run less"),
    (
        r'[Ff]ailed to pull (?:and unpack )?image "([^"]+)"',
        "the image {0} cannot be pulled, or not yet",
        "if the connection is only slow, run this again; otherwise check microk8s_registry_mirrors and the"
        " registry",
    ),
    (r"Addon (\S+) was not found", "there is no addon {0}", "look at: microk8s status"),
]


class Cause(NamedTuple):
    """The most likely cause, and its fix."""

    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.what} -> {self.fix}"


def likely_cause(log: str) -> Cause | None:
    """Find the last known cause in a log."""
    found = [
        (match.end(), Cause(what.format(*match.groups()), fix))
        for sign, what, fix in _CAUSES
        for match in re.finditer(sign, log)
    ]
    return max(found)[1] if found else None


def telling_lines(log: Iterable[str]) -> list[str]:
    """Return the last lines that look like errors, or else the last lines, without similar ones."""
    lines = [line.strip() for line in log if not _HELP.search(line)]
    telling = [line for line in lines if _TELLING.search(line)] or lines
    alike = {_VARYING.sub("", line)[:_SAME]: line[:_WIDTH] for line in telling}
    return list(alike.values())[-_LINES:]
