import os
from pathlib import Path

import pytest

from homeserver_app.cpu import cpu_limit, worker_count


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        pytest.param({}, 8, id="no cgroup"),
        pytest.param({"cpu.max": "max 100000\n"}, 8, id="v2 without a limit"),
        pytest.param({"cpu.max": "50000 100000\n"}, 0.5, id="v2, half a CPU"),
        pytest.param({"cpu.max": "250000 100000\n"}, 2.5, id="v2, two and a half"),
        pytest.param({"cpu.max": "9900000 100000\n"}, 8, id="v2, more than there are"),
        pytest.param(
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8, id="v1 without a limit"
        ),
        pytest.param(
            {"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "50000\n"}, 3, id="v1, three"
        ),
    ],
)
def test_the_limit_is_the_cgroups_quota_or_the_number_of_cpus(
    tmp_path: Path, files: dict[str, str], cpus: float
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cpu_limit(tmp_path) == cpus


@pytest.mark.parametrize(("cpus", "workers"), [(0.1, 1), (1, 1), (1.5, 2), (2, 2), (4, 4), (64, 4)])
def test_one_worker_per_started_cpu_up_to_four(cpus: float, workers: int) -> None:
    assert worker_count(cpus) == workers
