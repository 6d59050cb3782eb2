"""`make test` runs all parts, counts their tests, and fails when one of them does."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests import ci, lanes
from tests.ci import Part, Run, counted, table
from tests.scenarios import test_lanes


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOMESERVER_LAB_CACHE", str(tmp_path))


def _python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def _run(monkeypatch: pytest.MonkeyPatch, *parts: Part, beside: tuple[Part, ...] = ()) -> bool:
    monkeypatch.setattr(ci, "MACHINES", parts)
    monkeypatch.setattr(ci, "BESIDE", beside)
    monkeypatch.setattr(ci, "chosen_lanes", tuple)
    return Run().everything()


def test_counts_the_results_of_the_test_runners() -> None:
    lines = [
        "=== 3 passed, 1 skipped in 0.12s ===\n",
        "2 failed, 5 passed in 61.02s (0:01:01)\n",
        "7 passed\n",
    ]

    assert counted(lines) == {"passed": 8, "skipped": 1, "failed": 2}


def test_the_run_passes_when_every_part_passes(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    quick = Part("quick", _python("print('2 passed in 0.01s')"))
    slow = Part("slow", _python("print('3 passed in 1.00s')"))

    assert _run(monkeypatch, quick, slow)
    assert capfd.readouterr().out.splitlines()[-1] == "5 passed, 0 failed, 0 skipped"


@pytest.mark.parametrize("broken", ["quick", "slow"])
def test_one_failed_part_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], broken: str
) -> None:
    parts = {
        name: Part(name, _python(f"raise SystemExit({int(name == broken)})")) for name in ("quick", "slow")
    }

    assert not _run(monkeypatch, *parts.values())
    assert f"{broken:<16}" in capfd.readouterr().out
    assert parts[broken].outcome == "FAILED (exit code 1)"


def test_failed_tests_are_named_again_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    failed = "FAILED molecule/elk/tests/test_shipping.py::test_a_line - AssertionError: lost"
    part = Part("scenarios", _python(f"print({failed!r}); print('12345'); raise SystemExit(1)"))

    assert not _run(monkeypatch, part)
    after_the_output = capfd.readouterr().out.partition("12345")[2]
    assert failed in after_the_output.splitlines()


@pytest.mark.parametrize("built", [True, False])
def test_a_part_waits_for_the_one_it_needs_while_others_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, built: bool
) -> None:
    done = tmp_path / "done"
    # Ends only if the part behind the waiting one runs meanwhile.
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(done)!r}).exists(): time.sleep(0.01)\n"
    build = Part("build", _python(f"{wait}raise SystemExit({int(not built)})"))
    machine = Part("scenarios", _python(f"open({str(done)!r})"), after=build)
    lint = Part("lint", _python(f"open({str(done)!r}, 'x')"))

    assert _run(monkeypatch, build, machine, lint) is built
    assert lint.outcome == "passed"
    assert machine.outcome == ("passed" if built else "not run")


def _counting(directory: Path) -> list[str]:
    """A program that tells how many of it run at the same time."""
    return _python(
        f"import pathlib, time; here = pathlib.Path({str(directory)!r}); mine = here / str(time.time_ns()); "
        "mine.touch(); time.sleep(0.3); running = set(here.iterdir()) - set(here.glob('*.ended')); "
        "print(f'{len(running)} passed in 0.30s'); mine.rename(f'{mine}.ended')"
    )


def test_two_machines_run_at_a_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    parts = [Part(f"part {number}", _counting(tmp_path)) for number in range(4)]

    assert _run(monkeypatch, *parts)
    assert max(part.tests["passed"] for part in parts) == 2


def test_one_machine_runs_while_there_is_something_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    parts = [Part(f"part {number}", _counting(tmp_path)) for number in range(2)]
    ended = f"len(list(pathlib.Path({str(tmp_path)!r}).glob('*.ended')))"
    beside = Part("unit", _python(f"import pathlib, time\nwhile {ended} < 2: time.sleep(0.01)"))

    assert _run(monkeypatch, *parts, beside=(beside,))
    assert max(part.tests["passed"] for part in parts) == 1


def test_the_run_ends_when_a_program_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Part("build", ["no-such-program"])

    assert not _run(monkeypatch, missing, Part("scenarios", _python("pass"), after=missing))
    assert "no-such-program" in missing.outcome


@pytest.mark.parametrize("live", [True, False])
def test_the_output_of_one_part_is_not_mixed_with_anothers(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path, live: bool
) -> None:
    show = Run._show

    def note(run: Run, *lines: str) -> None:
        show(run, *lines)
        for line in lines:
            name = line.removeprefix("slow: ").strip()
            if name in {"one", "middle"}:
                (tmp_path / name).touch()

    monkeypatch.setattr(Run, "_show", note)
    wait = "import pathlib, time\nwhile not pathlib.Path({!r}).exists(): time.sleep(0.01)\n"
    slow = f"print('one', flush=True)\n{wait.format(f'{tmp_path}/middle')}print('two')"
    quick = f"{wait.format(f'{tmp_path}/one') if live else ''}print('middle')"
    _run(monkeypatch, Part("slow", _python(slow), live=live), Part("quick", _python(quick)))
    shown = re.findall(r"^(?:slow: )?(one|middle|two)$", capfd.readouterr().out, re.MULTILINE)

    assert shown == (["one", "middle", "two"] if live else ["middle", "one", "two"])


def test_a_part_in_the_background_has_a_small_share_of_the_processors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    program = f"""
import os, pathlib
groups = [line.split(":")[2] for line in open("/proc/self/cgroup").read().splitlines()]
shares = [pathlib.Path(f"/sys/fs/cgroup/cpu{{group}}/cpu.shares") for group in groups]
weights = [pathlib.Path(f"/sys/fs/cgroup{{group}}/cpu.weight") for group in groups]
part = [int(file.read_text()) / whole for files, whole in ((shares, 1024), (weights, 100))
        for file in files if file.exists()]
pathlib.Path({str(told)!r}).write_text(str(min([*part, 1 - os.nice(0) / 20])))
"""
    assert _run(monkeypatch, Part("slow", _python(program), background=True))

    assert 0 < float(told.read_text()) < 0.5


def test_a_part_that_passed_for_the_same_content_is_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = f"open({str(tmp_path / 'runs')!r}, 'a').write('x')"
    for content in ("one", "one", "two"):
        assert _run(monkeypatch, Part("lab", _python(program), unless=content))

    assert (tmp_path / "runs").read_text() == "xx"


def test_a_part_that_passed_two_days_ago_runs_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = f"open({str(tmp_path / 'runs')!r}, 'a').write('x')"
    assert _run(monkeypatch, Part("lab", _python(program), unless="one"))
    (stamp,) = (tmp_path / "passed").iterdir()
    os.utime(stamp, (0, time.time() - 2 * ci.DAY))
    assert _run(monkeypatch, Part("lab", _python(program), unless="one"))

    assert (tmp_path / "runs").read_text() == "xx"


def test_the_content_of_a_file_includes_its_mode(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ci, "ROOT", tmp_path)
    program = tmp_path / "lab"
    program.write_text("")
    for command in (["init", "--quiet"], ["add", "lab"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    before = ci.content_of("lab")
    program.chmod(0o755)

    assert ci.content_of("lab") != before


SKIPS = """
import pytest
@pytest.mark.parametrize("name", ["kibana", "hello"])
def test_page(name):
    pytest.skip(f"{name}: not run here (0 replicas)")
def test_tool():
    pytest.importorskip("no_such_tool")
"""


def test_a_skipped_test_that_is_not_listed_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "test_pages.py").write_text(SKIPS)
    pages = Part("pages", [sys.executable, "-m", "pytest", "-rs", str(tmp_path)])

    assert not _run(monkeypatch, pages)
    assert "tests/skips.yml" in pages.outcome
    after_the_output = capfd.readouterr().out.rpartition(" in ")[2]
    assert "SKIPPED" in after_the_output
    assert "hello: not run here" in after_the_output
    assert "no_such_tool" in after_the_output
    assert "kibana" not in after_the_output


def test_an_empty_parametrisation_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test_none.py").write_text(
        "import pytest\n@pytest.mark.parametrize('x', [])\ndef test_none(x): pass\n"
    )
    settings = Path(__file__).parents[2] / "pyproject.toml"
    options = [f"--config-file={settings}", f"--rootdir={tmp_path}", str(tmp_path)]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options], capture_output=True, text=True, check=False
    )

    assert run.returncode != 0, run.stdout
    assert "Empty parameter set" in run.stdout


@pytest.mark.parametrize("outcome", [0, 1])
def test_a_lane_is_noted_when_it_has_passed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], outcome: int
) -> None:
    ran, other, *_ = lanes.LANES
    part = Part(ran.name, _python(f"raise SystemExit({outcome})"), lane=ran)
    _run(monkeypatch, part)

    assert f"{other.name:<16}  not run: has not passed on this machine yet" in capfd.readouterr().out
    _run(monkeypatch, Part("other", _python("pass")))
    seen = next(line for line in capfd.readouterr().out.splitlines() if line.startswith(ran.name))
    assert ("passed in 0 s" in seen) is (outcome == 0)


def test_every_lane_has_its_turn() -> None:
    assert {lanes.chosen([], number) for number in range(len(lanes.LANES))} == {*lanes.LANES}
    assert {lanes.chosen(lanes.LANES[:2], number) for number in range(9)} == {*lanes.LANES[:2]}


def test_every_lane_is_a_test_and_has_files() -> None:
    tests = [name[5:].replace("_", "-") for name in vars(test_lanes) if name.startswith("test_")]

    workflow = yaml.safe_load((Path(__file__).parents[2] / ".github/workflows/lanes.yml").read_text())

    assert tests == [lane.name for lane in lanes.LANES]
    assert tests == workflow["jobs"]["lane"]["strategy"]["matrix"]["lane"]
    for lane in lanes.LANES:
        for pattern in lane.files:
            found = subprocess.run(["git", "ls-files", "--", pattern], capture_output=True, check=True)
            assert found.stdout, f"{lane.name}: {pattern}"


def test_a_lane_that_does_not_exist_is_told_with_those_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANE", "cluster")
    with pytest.raises(SystemExit, match=r"LANE is 'cluster' .*joining, power"):
        ci.chosen_lanes()


def test_a_failed_part_runs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        part = Part("lab", _python("raise SystemExit(2)"), unless="one")
        assert not _run(monkeypatch, part)
        assert part.seconds > 0


def test_the_table_ends_with_the_number_of_failures() -> None:
    fine = Part("unit", [], outcome="passed")
    fine.tests.update(passed=4)
    broken = Part("lint", [], outcome="FAILED (exit code 2)")

    assert table([fine, broken]).splitlines()[-1] == "4 passed, 1 failed, 0 skipped"


def test_the_tests_of_the_labs_machines_run_again_for_each_file_that_they_import() -> None:
    files = [
        path for path in (ci.ROOT / "lab/tests").rglob("test_*.py") if "mark.machine" in path.read_text()
    ]
    imported = {name for path in files for name in re.findall(r"from harness\.(\w+) ", path.read_text())}

    assert files
    assert {f"harness/{name}.py" for name in imported} <= set(ci.LAB)
