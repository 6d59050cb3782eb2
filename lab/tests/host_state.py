"""Everything that a machine could leave on its host."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lab import process
from lab.machine import unique_name

OTHERS = "homelab"  # bridges and networks of other labs and tests, which may come and go meanwhile
NAMESPACES = Path("/run/netns")


def host_state(lab_directory: Path, names: list[str]) -> dict[str, list[str]]:
    """Return the state to compare before and after, without that of this host's other machines."""
    unique = [unique_name(name) for name in names]
    return {
        "mounts": sorted(_mounts(lab_directory)),
        "links": sorted(_links(unique)),
        "addresses": [line for line in _lines("ip", "-oneline", "-4", "address") if OTHERS not in line],
        "routes": [line for line in _lines("ip", "route") if OTHERS not in line],
        "network namespaces": [line for line in _lines("ip", "netns", "list") if OTHERS not in line],
        "packet filter": [line for line in _lines("iptables-save") if not line.startswith("#")],
        "forwarding": [Path("/proc/sys/net/ipv4/ip_forward").read_text()],
        "loop devices": [
            line for line in _lines("losetup", "--list", "--noheadings") if str(lab_directory) in line
        ],
        "device modes": [f"{path} {Path(path).stat().st_mode:o}" for path in ("/dev/kmsg", "/dev/fuse")],
        "control groups": sorted(_control_groups(unique)),
        "processes": sorted(_processes(lab_directory, names)),
        "files": sorted(_files(lab_directory, unique)),
    }


def _lines(*command: str) -> list[str]:
    if not shutil.which(command[0]):
        return []
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def _mounts(lab_directory: Path) -> Iterator[str]:
    """Return mounts in the lab's directories; elsewhere, package builders may change them meanwhile."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        place = Path(line.split()[1])
        tops = (lab_directory, "/dev", "/proc", "/run", "/sys")
        if any(place.is_relative_to(top) for top in tops) and not place.is_relative_to(NAMESPACES):
            yield line


def _links(names: list[str]) -> Iterator[str]:
    for line in _lines("ip", "-brief", "link"):
        name = line.split()[0].split("@")[0]
        if not name.startswith(OTHERS) and (not name.startswith("vb-") or name[3:] in names):
            yield name


def _control_groups(names: list[str]) -> Iterator[str]:
    """Return the machines' own groups; unlike a glob, a walk passes over groups that vanish meanwhile."""
    machines = tuple(f"homeserver-lab-{name}" for name in names)
    for directory, children, _ in os.walk("/sys/fs/cgroup"):
        yield from (f"{directory}/{child}" for child in children if child.startswith(machines))


def _processes(lab_directory: Path, names: list[str]) -> Iterator[str]:
    for one in process.processes():
        in_machine = any(one.runs_in(lab_directory / name / "root") for name in names)
        if in_machine or any(str(lab_directory) in argument for argument in one.argv):
            yield " ".join(one.argv)


def _files(lab_directory: Path, names: list[str]) -> Iterator[str]:
    yield from map(str, lab_directory.parent.glob(f"{lab_directory.name}/**"))
    for name in names:
        yield from map(str, Path("/run/systemd/nspawn").glob(f"*/{name}"))


def changes(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return added and removed items, by kind."""
    return {
        kind: [f"{'+' if line in after[kind] else '-'} {line}" for line in sorted(differing)]
        for kind in before
        if (differing := set(before[kind]) ^ set(after[kind]))
    }
