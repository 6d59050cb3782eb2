"""The module kube_cleanup."""

from __future__ import annotations

DOCUMENTATION = """
module: kube_cleanup
short_description: Removes from a running system what Kubernetes left there
description:
  - Ends processes in the control groups of pods, which survive if the snap's own removal fails silently.
  - Unmounts what pods and containers had mounted. Otherwise a removal of files would go through such a mount.
  - Removes the chains of kube-proxy, Calico and the CNI plugins, every rule that leads to them, and the
    address sets and routes of Calico. Tables that iptables has made and that are empty go as well.
  - Removes sockets of containers that nobody listens at, and the failures of units that no longer exist.
  - Keeps everything else.
author: The homeserver.stack maintainers (!UNKNOWN)
options:
  timeout:
    description: How many seconds killed processes may take to end.
    type: int
    default: 30
attributes:
  check_mode:
    support: full
    description: It reports what would be removed.
"""

EXAMPLES = """
- homeserver.stack.kube_cleanup:
"""

RETURN = """
removed:
  description: How many of these were removed, by place.
  type: dict
  returned: always
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

CONTROL_GROUPS = Path("/sys/fs/cgroup")
SOCKETS = Path("/run/containerd/s")
_MOUNTS = "/var/snap/microk8s/common/"
_MOUNTED_BY_PODS = tuple(f"{_MOUNTS}{part}/" for part in ("var/lib/kubelet", "var/lib/containerd", "run"))
_UNITS = "snap.microk8s.*"
_IPTABLES = ("iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy")
_TABLES = {"filter", "nat", "mangle", "raw"}
_RULE = re.compile(r"(^:| -[Ajg] |^-A )(KUBE-|cali-|CNI-)|\"cali:|generated for MicroK8s pods")
_SET = re.compile(r"cali[46]|KUBE-")
_CALICO_ROUTES = ("proto", "80")


def main() -> None:
    """Run the module."""
    options = {"timeout": {"type": "int", "default": 30}}
    module = AnsibleModule(options, supports_check_mode=True)
    if not any(map(_has, _IPTABLES)):
        module.warn("the host has no iptables to remove the rules of Kubernetes with -> reboot it")
    remove = not module.check_mode
    removed = {place: count for place, count in _clean(remove=remove) if count}
    try:
        removed |= end_processes(CONTROL_GROUPS, module.params["timeout"], remove=remove)
    except TimeoutError as error:
        module.fail_json(msg=str(error), removed=removed)
    removed |= {place: count for place, count in _clean_files(remove=remove) if count}
    module.exit_json(changed=bool(removed), removed=removed)


def end_processes(groups: Path, seconds: float, *, remove: bool) -> dict[str, int]:
    """Kill what still runs in pods, and remove their control groups.

    Args:
        groups: The directory of control groups.
        seconds: How long killed processes may take.
        remove: Whether to change anything.

    Returns:
        How many processes were found, if any.

    Raises:
        TimeoutError: Some do not end; with their names.
    """
    tops = [*groups.glob("kubepods*"), *groups.glob("*/kubepods*")]
    found = _running(tops)
    deadline = time.monotonic() + seconds
    left = found if remove else {}
    while left:
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if time.monotonic() > deadline:
            names = ", ".join(f"{name} ({process})" for process, name in left.items())
            raise TimeoutError(
                f"processes of pods do not end: {names} -> reboot the host, then run this again"
            )
        time.sleep(0.1)
        left = _running(tops)
    for top in tops if remove else []:
        for directory, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):  # an empty group does no harm
                Path(directory).rmdir()
    return {"processes": len(found)} if found else {}


def _running(tops: list[Path]) -> dict[int, str]:
    """Return the names of the processes in these control groups and those below them."""
    processes: set[int] = set()
    for directory, _, _ in (step for top in tops for step in os.walk(top)):
        with contextlib.suppress(OSError):
            processes.update(map(int, (Path(directory) / "cgroup.procs").read_text().split()))
    return {process: _name(process) for process in processes}


def _name(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return "ended meanwhile"


def _clean(*, remove: bool) -> Iterator[tuple[str, int]]:
    """Remove rules, sets and routes, and yield the counts by place. Rules use the sets, so they go first."""
    for variant in filter(_has, _IPTABLES):
        rules = _run(f"{variant}-save")
        kept = others(rules)
        count = rules.count("\n") - kept.count("\n")
        if remove and count:
            _run(f"{variant}-restore", given=kept)
        yield variant, count
    empty = empty_tables(_run("nft", "--json", "list", "ruleset")) if _has("nft") else []
    for family, table in empty if remove else []:
        _run("nft", "delete", "table", family, table)
    yield "nft", len(empty)
    sets = (
        [name for name in _run("ipset", "list", "-name").split() if _SET.match(name)] if _has("ipset") else []
    )
    for name in sets if remove else []:
        _run("ipset", "destroy", name)
    yield "ipset", len(sets)
    routes = _run("ip", "route", "show", *_CALICO_ROUTES).splitlines()
    if remove and routes:
        _run("ip", "route", "flush", *_CALICO_ROUTES)
    yield "routes", len(routes)


def others(rules: str) -> str:
    """Return rules in the format of iptables-save without those of Kubernetes."""
    return "".join(line for line in rules.splitlines(keepends=True) if not _RULE.search(line))


def empty_tables(ruleset: str) -> list[tuple[str, str]]:
    """Return family and name of the tables of iptables that do nothing, from nft's JSON."""
    listed = json.loads(ruleset)["nftables"]
    used = {
        (each["family"], each["table"])
        for kind, each in (pair for entry in listed for pair in entry.items())
        if kind in {"rule", "set", "map"} or (kind == "chain" and each.get("policy", "accept") != "accept")
    }
    tables = [(entry["table"]["family"], entry["table"]["name"]) for entry in listed if "table" in entry]
    return [
        (family, name)
        for family, name in tables
        if family in {"ip", "ip6"} and name in _TABLES and (family, name) not in used
    ]


def _clean_files(*, remove: bool) -> Iterator[tuple[str, int]]:
    """Unmount, remove sockets, forget failures; yield the counts by place."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    of_pods = sorted((mount for mount in mounts if mount.startswith(_MOUNTED_BY_PODS)), reverse=True)
    for mount in of_pods if remove else []:
        _run("umount", mount.encode().decode("unicode_escape"))  # a space is \040
    yield "mounts", len(of_pods)
    dead = dead_sockets(SOCKETS)
    for path in dead if remove else []:
        path.unlink()
    yield "sockets", len(dead)
    failed = _run("systemctl", "list-units", "--state=failed", "--plain", "--no-legend", _UNITS).splitlines()
    if remove and failed:
        _run("systemctl", "reset-failed", _UNITS)
    yield "failed units", len(failed)


def dead_sockets(directory: Path) -> list[Path]:
    """Return the sockets that nobody listens at."""
    return [path for path in directory.glob("*") if path.is_socket() and not _listens(path)]


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True


def _has(program: str) -> bool:
    return shutil.which(program) is not None


def _run(*command: str, given: str = "") -> str:
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
