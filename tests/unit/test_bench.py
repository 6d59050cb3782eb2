"""The benchmark's delays and rates follow from the times at which lines were written and found."""

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bench import baseline, curve, machines, page, remote
from bench.logs import Run
from harness import faults, upgrade
from harness.chaos import Cost, Fault
from lab.machine import Machine

FOUNDER = Machine("bench", "nspawn", "192.0.2.2", 22)
WORKER = Machine("bench-2", "nspawn", "192.0.2.3", 22, "bench")


def test_a_delay_lasts_from_writing_a_line_to_the_first_query_that_found_it() -> None:
    run = Run(began=100, found=[(100, 0), (101.5, 2), (102, 2), (103, 3)])
    assert run.waited(rate=1) == [1.5, 0.5, 1]


def test_a_line_that_is_found_before_its_time_has_no_delay() -> None:
    assert Run(began=100, found=[(100.5, 2)]).waited(rate=1) == [0.5, 0]


def test_the_rate_is_from_the_first_line_written_to_the_last_found() -> None:
    assert Run(began=100, found=[(101, 50), (110, 1000)]).rate == pytest.approx(100)


def test_an_upgrade_that_costs_far_more_than_usual_is_told() -> None:
    usual = page.rows_of(page.FILE.read_text())
    costs = [row for row in usual if row.group == upgrade.GROUP and ": " in row.what]

    assert len(costs) == 4
    assert upgrade.excess(costs, usual) == []
    for row in costs:
        worse = replace(row, values=(3 * row.values[0] + 11,))
        assert upgrade.excess([worse], usual) == [f"{row.what}: {worse.measured}, usually {row.measured}"]


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.name)
def test_a_fault_that_costs_far_more_than_usual_is_told(fault: Fault) -> None:
    text = page.FILE.read_text()
    nothing = Cost(0, 0, 0, 0, 1000, 0, 0, (), "")

    assert faults.excess(fault, nothing, text) == []
    much = replace(nothing, pages=200, healthy=400, failed=990, gap=400)
    # When the disk is full, many requests fail.
    assert len(faults.excess(fault, much, text)) == (3 if fault is faults.FULL_DISK else 4)


def test_a_part_that_is_measured_alone_replaces_its_group_of_the_page() -> None:
    rows = [
        page.row("Runs", "one", 0, "s"),
        page.Row("Logs", "two, `a|b` or a | b", (1.5, 2, 4), "per second", before="3.00 per second"),
        page.row("Logs", "three", 1234, ""),
    ]
    faults = f"{page.FAULTS}\n| a fault | 1 s |\n"
    assert page.rows_of(page.page(rows, faults)) == rows
    assert page.faults_of(page.page(rows, faults)) == faults

    measured = [page.row("Logs", name, 4, "s") for name in (rows[1].what, "four")]
    anew = page.replaced(rows, measured)
    assert [each.what for each in anew] == ["one", rows[1].what, "three", "four"]
    assert [each.before for each in anew] == ["", "2.00 per second", "", ""]
    assert page.without_stale(anew, measured) == [anew[0], anew[1], anew[3]]


def test_what_is_measured_several_times_has_a_median_and_a_spread() -> None:
    (found,) = page.merged([page.row("Runs", "one", value, "s") for value in (12, 9, 30)])
    assert (found.measured, found.spread) == ("12.0 s", "9.00 to 30.0")


@pytest.mark.parametrize(
    ("values", "more_is_better", "worse"),
    [
        ((11, 12, 12.5), False, True),
        ((11, 12, 12.5), True, False),
        ((9, 12, 13), False, False),  # the spread is as wide
        ((8, 8.5, 9), True, True),
        ((8, 8.5, 9), False, False),
        ((20,), False, False),  # no spread is known
    ],
)
def test_a_row_is_worse_by_more_than_its_own_spread(
    values: tuple[float, ...], *, more_is_better: bool, worse: bool
) -> None:
    before = page.row("Runs", "one", 10, "s")
    (found,) = page.replaced([before], [page.Row("Runs", "one", values, "s", more_is_better)])
    assert page.worse([found]) == ([found] if worse else [])
    assert found.before.startswith("10.0 s")


def test_what_was_measured_at_several_sizes_is_drawn_as_a_curve() -> None:
    at = [page.row("Growth", f"memory, at {count} apps", 1000 + count, "MiB") for count in (1, 10, 50)]
    alone = page.row("Logs", "finding one, at 2000 lines", 9, "s")
    svg = curve.picture([alone, *at])

    assert svg.startswith("<svg")
    assert re.findall(r">(memory|apps|MiB|lines)<", svg) == ["apps", "MiB", "memory"]
    assert curve.picture([alone]) == ""


def test_the_committed_page_is_one_that_is_written() -> None:
    text = page.FILE.read_text()
    table = text[text.index("\n## ") :]
    assert page.page(page.rows_of(text), page.faults_of(text)).endswith(table)


def test_a_machine_by_hand_is_launched_with_its_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    launch = yaml.safe_dump({"addons": [{"name": "dns"}], "extraKubeletArgs": {"--node-ip": "192.0.2.2"}})
    recipe = baseline.Recipe(FOUNDER.address, launch, "", [], [])
    launched: list[str] = []
    commands: list[str] = []

    def run(_machine: Machine, command: str, _stdin: str = "") -> str:
        commands.append(command)
        return json.dumps({"urls": ["192.0.2.2:25000/token"]})

    monkeypatch.setattr(remote, "run", run)
    monkeypatch.setattr(baseline, "_content", lambda _: {"images": [], "snaps": []})
    monkeypatch.setattr(baseline, "_install", lambda *given: launched.append(given[-1]))
    baseline.join(FOUNDER, WORKER, Path(), recipe)

    assert yaml.safe_load(launched[0]) == {"addons": [], "extraKubeletArgs": {"--node-ip": "192.0.2.3"}}
    assert commands[-1] == "/snap/bin/microk8s join 192.0.2.2:25000/token --worker"


def test_a_run_that_fails_ends_the_wait_for_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise subprocess.CalledProcessError(2, "ansible-playbook")

    monkeypatch.setattr(machines, "_serves", lambda *_: False)
    with pytest.raises(subprocess.CalledProcessError):
        machines._seconds_until_serving(FOUNDER, WORKER, fail)


def test_the_clock_of_a_power_cut_runs_until_all_pods_are_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    places = iter([["bench"], ["bench", "bench-2"], ["bench", "bench"]])

    def sleep(duration: float) -> None:
        now[0] += duration

    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("lab.lifecycle.cut", lambda _name: sleep(3))
    monkeypatch.setattr(machines, "_places", lambda _founder: next(places))
    assert machines._seconds_until_elsewhere(FOUNDER, WORKER, 2) == 4
