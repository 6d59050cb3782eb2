"""The container's CPU limit and the resulting number of workers."""

import math
import os
from pathlib import Path

# More workers would cost memory that a home server needs for other things.
MOST_WORKERS = 4


def cpu_limit(cgroup: Path = Path("/sys/fs/cgroup")) -> float:
    """Return the CPUs this process may use: the cgroup's quota, or else the scheduler's affinity."""
    available = float(len(os.sched_getaffinity(0)))
    quota = _quota_v2(cgroup) or _quota_v1(cgroup)
    return min(quota, available) if quota else available


def worker_count(cpus: float) -> int:
    """Return one worker per CPU, rounded up: a Python process uses one CPU at most."""
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
