"""Measure installation time, response time and memory of a home server.

Prints tables, and writes them to docs/benchmark.md with what that said before. Needs root, and an hour with
an empty cache; a part of it alone, of which only the rows are replaced there, ten minutes or more.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench import baseline, compose, growth, idle, load, logs, machines, monitoring, recovery, traces
from bench.clock import seconds
from bench.curve import picture
from bench.page import (
    FILE,
    Row,
    faults_of,
    merged,
    page,
    replaced,
    row,
    rows_of,
    without_stale,
    worse,
)
from lab import lifecycle
from lab.build import build, cache_root
from lab.machine import Machine

ROOT = Path(__file__).parent.parent
CURVES = FILE.parent / "pictures" / "growth.svg"


def main() -> None:
    """Run all measurements one after another."""
    options = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    options.add_argument("--only", choices=sorted(_PARTS), nargs="+", help="measure these parts alone")
    options.add_argument("--times", type=int, default=1, help="measure each so often (default: %(default)s)")
    chosen = options.parse_args()
    measured = merged(map(_shown, _parts(chosen.only or _PARTS, chosen.times)))
    old = FILE.read_text()
    rows = without_stale(replaced(rows_of(old), measured), measured)
    FILE.write_text(page(rows, faults_of(old)))
    if curves := picture(rows):
        CURVES.write_text(curves)
    print(FILE.read_text())
    for each in worse(rows):
        print(f"worse than before: {each.what}, {each.measured} ({each.before})")


def _shown(each: Row) -> Row:
    """Print each row as soon as it is measured, so that a later failure cannot lose it."""
    _report(f"{each.what}: {each.measured}")
    return each


def _parts(names: Iterable[str], times: int) -> Iterator[Row]:
    for name in names:
        for _ in range(times):
            yield from _PARTS[name]()


def _build() -> Iterator[Row]:
    """Measure a build into an empty cache, and move what it made into the usual one."""
    usual = cache_root()
    usual.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix="homeserver-bench-", dir=usual.parent, ignore_cleanup_errors=True
    ) as empty:
        os.environ["HOMESERVER_LAB_CACHE"] = empty
        try:
            took = seconds(lambda: build(_report))
        finally:
            os.environ["HOMESERVER_LAB_CACHE"] = str(usual)
        for entry in Path(empty).glob("[!.]*-*"):
            if not (usual / entry.name).exists():
                entry.rename(usual / entry.name)
    yield row("Build", "everything built, nothing cached", took / 60, "min")


def _home() -> Iterator[Row]:
    """Measure one home, and the same by hand."""
    with tempfile.TemporaryDirectory() as kept:
        with _machine("bench") as (machine, boot):
            yield row("Runs", "machine created and booted, everything cached", boot, "s")
            first = seconds(lambda: _play(machine, "site.yml"))
            yield row("Runs", "`site.yml`, first run", first, "s")
            yield row("Runs", "`site.yml`, second run", seconds(lambda: _play(machine, "site.yml")), "s")
            yield from idle.rows(machine)
            yield from traces.rows(machine)
            yield from monitoring.rows(machine)
            yield from logs.rows(machine)
            recipe = baseline.recipe(machine, Path(kept))
            yield from monitoring.fault_to_message(machine, partial(_play, machine))
        with _machine("baseline") as (machine, _):
            parts = baseline.measure(machine, build(_report).bundle, recipe)
    for what, took in parts.items():
        yield row("Runs", f"by hand: {what}", took, "s")
    compared = first / sum(parts.values())
    yield row("Runs", "`site.yml`, first run, compared with by hand", compared, "times")


def _without_logs() -> Iterator[Row]:
    with _machine("bench") as (machine, _):
        _play(machine, "site.yml", homeserver_logging_enabled=False)
        yield from idle.rows_without_logs(machine)


def _requests() -> Iterator[Row]:
    with _machine("bench") as (machine, _):
        _play(machine, "site.yml")
        load.prepare(machine, _report)
        yield from traces.cost(machine, partial(_play, machine))


def _second_machine() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as kept, _machine("bench") as (machine, _):
        _play(machine, "site.yml")
        yield from _machines(machine, baseline.recipe(machine, Path(kept)))


def _recovery() -> Iterator[Row]:
    with _machine("bench") as (machine, _):
        _play(machine, "site.yml")
        yield from recovery.rows(machine, _play, _report)


def _growth() -> Iterator[Row]:
    with _machine("bench") as (machine, _):
        _play(machine, "site.yml")
        yield from growth.rows(machine, partial(_play, machine))


def _compose() -> Iterator[Row]:
    """Measure without a machine, and only if there are files."""
    yield from compose.rows(_report)


# What can be measured alone, by its name on the command line.
_PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "build": _build,
    "home": _home,
    "without-logs": _without_logs,
    "requests": _requests,
    "machines": _second_machine,
    "recovery": _recovery,
    "growth": _growth,
    "compose": _compose,
}


def _machines(machine: Machine, recipe: baseline.Recipe) -> Iterator[Row]:
    bundle = build(_report).bundle
    return machines.rows(
        machine,
        lambda worker: baseline.join(machine, worker, bundle, recipe),
        partial(_play, machine),
        _report,
    )


@contextmanager
def _machine(name: str) -> Iterator[tuple[Machine, float]]:
    """Create a new machine, yield it with the seconds that took, and remove it."""
    lifecycle.down(name)
    started = time.monotonic()
    try:
        yield lifecycle.up(name, None, _report), time.monotonic() - started
    finally:
        lifecycle.down(name)


def _play(machine: Machine, playbook: str, **variables: object) -> None:
    # All load comes from one client.
    given = {"traefik_rate_limit_per_second": 0, **variables}
    _run("ansible-playbook", "-i", str(machine.inventory), playbook, "-e", json.dumps(given))


def _run(*command: str, **environment: str) -> None:
    subprocess.run(command, cwd=ROOT, env=os.environ | environment, stdout=sys.stderr, check=True)


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
