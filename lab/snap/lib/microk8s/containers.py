"""The containers on this node, below the level of Kubernetes."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from . import paths


def _processes() -> dict[int, int]:
    """Return the parent of every process."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name, in parentheses, may contain anything; the state and the parent follow it.
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return parents


def descendants(roots: set[int], parents: Mapping[int, int]) -> set[int]:
    """Return the descendants of these processes."""
    found: set[int] = set()
    level = roots
    while level := {pid for pid, parent in parents.items() if parent in level} - found:
        found |= level
    return found


def _shims() -> set[int]:
    """Return the shims that hold the containers of this snap's containerd."""
    address = os.fsencode(paths.containerd_socket())
    found = set()
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = line.read_bytes().split(b"\0")
            if b"containerd-shim" in words[0] and address in words:
                found.add(int(line.parent.name))
    return found


def kill_all() -> None:
    """Kill every container of this node, without a grace period, and their shims."""
    shims = _shims()
    for pid in [*descendants(shims, _processes()), *shims]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def unmount_all() -> None:
    """Unmount the remaining mounts of containers and pods below the snap's directories."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{paths.common()}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False)
