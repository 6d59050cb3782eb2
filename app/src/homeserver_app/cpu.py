"""How many CPUs the container may use, and how many workers that is."""

import math
import os
from pathlib import Path

# More workers than this cost memory that a home server wants for other things.
MOST_WORKERS = 4


def cpu_limit(cgroup: Path = Path("/sys/fs/cgroup")) -> float:
    """The CPUs this process may use: the cgroup's quota, or else what the scheduler gives it."""
    available = float(len(os.sched_getaffinity(0)))
    quota = _quota_v2(cgroup) or _quota_v1(cgroup)
    return min(quota, available) if quota else available


def worker_count(cpus: float) -> int:
    """One worker per CPU begun: a Python process can keep one busy, its threads wait for the network."""
    return max(1, min(math.ceil(cpus), MOST_WORKERS))


def _quota_v2(cgroup: Path) -> float | None:
    fields = _read(cgroup / "cpu.max").split()
    return None if not fields or fields[0] == "max" else int(fields[0]) / int(fields[1])


def _quota_v1(cgroup: Path) -> float | None:
    quota = int(_read(cgroup / "cpu" / "cpu.cfs_quota_us") or -1)
    return None if quota < 0 else quota / int(_read(cgroup / "cpu" / "cpu.cfs_period_us"))


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
