import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import process
from lab.host import LabError

MARK = "--directory=/nowhere/in/particular"


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    program = "import time\nprint(flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program, MARK], stdout=subprocess.PIPE) as running:
        assert running.stdout
        running.stdout.readline()
        yield running
        running.kill()


def test_a_process_is_found_by_an_argument_and_by_its_root(sleeper: "subprocess.Popen[bytes]") -> None:
    found = [one for one in process.processes() if MARK in one.argv]
    assert [one.pid for one in found] == [sleeper.pid]
    assert found[0].runs_in(Path("/"))
    assert not found[0].runs_in(Path("/usr"))
    assert not found[0].runs_in(Path("/nowhere"))


def test_only_matching_processes_are_killed(sleeper: "subprocess.Popen[bytes]") -> None:
    process.end(lambda one: MARK + "/else" in one.argv)
    assert sleeper.poll() is None
    process.end(lambda one: MARK in one.argv)
    assert sleeper.wait(timeout=5) == -9


def test_a_process_that_does_not_exit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    immortal = process.Process(2**22 + 1, ("immortal",), None)
    monkeypatch.setattr(process, "processes", lambda: iter([immortal]))
    started = time.monotonic()
    with pytest.raises(LabError, match=r"still there after 0 s: immortal \(4194305\)"):
        process.end(lambda _: True, within=0.1)
    assert time.monotonic() - started < 5
